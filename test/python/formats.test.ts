import { spawnSync } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { hashFile } from '../../daemon/store/objects/hashing.ts';
import { FormatError } from '../../formats/format-error.ts';
import { openFile } from '../../formats/inspect.ts';
import type { Inspection } from '../../formats/inspection.ts';
import { readPickle } from '../../formats/pickle.ts';
import { type Statistics, statisticsOf } from '../../formats/statistics.ts';
import { inspect as inspectWith } from '../../inspector/inspect.ts';
import { InspectorPool, inspectorSetup } from '../../inspector/pool.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON, script } from '../support/python.ts';
import { DIST } from '../support/trainer.ts';

const pool = new InspectorPool(inspectorSetup(DIST));
let folder = '';

const inspect = (path: string, statistics: boolean) => inspectWith(pool, null, { path, statistics });

beforeAll(() => {
  if (!PYTHON) return;
  folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  const made = spawnSync(PYTHON, ['-W', 'ignore', script('fixtures.py'), folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
}, 120_000);

afterAll(() => {
  pool.close();
  if (folder) rmSync(folder, { recursive: true });
});

type Looked = Inspection & { statistics: ReadonlyMap<string, Statistics> };

/** Reads everything of a file, including statistics. */
async function look(bytes: Buffer): Promise<Looked> {
  const read = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const { inspection, close } = await openFile(read, bytes.length);
  const statistics = new Map<string, Statistics>();
  for (const tensor of inspection.tensors) statistics.set(tensor.name, await statisticsOf(tensor, read));
  close();
  return { ...inspection, statistics };
}

const file = (name: string) => readFileSync(join(folder, name));
const tensors = (inspection: Inspection) =>
  Object.fromEntries(inspection.tensors.map(({ name, dtype, shape }) => [name, `${dtype} ${shape.join('×')}`]));

describe.skipIf(!PYTHON)('files of torch and NumPy', () => {
  test('all that a training saves is listed: tensors with types, shapes and ties, values, and other classes by name', async () => {
    const inspection = await look(file('all.pt'));
    const statistics = (name: string) => inspection.statistics.get(name);
    expect(tensors(inspection)).toMatchObject({
      'model.0.weight': 'F32 20×10',
      'model.1.num_batches_tracked': 'I64 ',
      'optimizer.state.0.exp_avg': 'F32 20×10',
      view: 'F32 3×3',
      turned: 'F32 6×4',
      bf16: 'BF16 2',
      half: 'F16 2',
      quantised: 'QI8 4',
      'sparse.0': 'I64 2×3',
      array: 'F64 2×3',
    });
    const named = (name: string) => inspection.tensors.find((tensor) => tensor.name === name)!;
    expect(named('tied.1').tiedTo).toBe('tied.0');
    expect(statistics('tied.0')).toMatchObject({ statistics: { min: 0, max: 23, mean: 11.5, zeros: 1, nan: 0 } });
    expect(statistics('turned')).toMatchObject({ statistics: { max: 23, mean: 11.5 } });
    expect(statistics('bf16')).toMatchObject({ statistics: { min: -2, max: 1 } });
    expect(statistics('half')).toMatchObject({ statistics: { nan: 1, max: 0.5 } });
    expect(statistics('array')).toMatchObject({ statistics: { max: 5 } });
    // Rows 1 to 3, columns 0, 2 and 4 of the tensor that is tied.
    expect(named('view').remark).toBe('a view with gaps');
    expect(statistics('view')).toMatchObject({ statistics: { min: 6, max: 22, mean: 14 } });
    expect(statistics('quantised')).toMatchObject({ why: expect.stringContaining('quantised') });
    const values = Object.fromEntries(inspection.values.map(({ name, value }) => [name, value]));
    expect(values).toMatchObject({
      epoch: 3,
      lr: 0.1,
      scalar: 2.5,
      none: null,
      'names.a': 1,
      'default.x': '[1, 2]',
      long: String(1n << 80n),
    });
    expect(inspection.classes).toEqual([{ name: 'argparse.Namespace', count: 1 }]);
  });

  test.each([
    ['old.pt', 'torch (before 1.6)', { w: 'F32 5×5', b: 'F64 5' }],
    ['whole-model.pt', 'torch', { '0.weight': 'F32 20×10', '1.running_mean': 'F32 20' }],
    ['script.pt', 'torch', { weight: 'F32 3×3', bias: 'F32 3' }],
    ['plain.npz', 'npz', { w: 'F32 3×4', b: 'I64 5' }],
    ['packed.npz', 'npz', { w: 'F32 300×4' }],
    ['paddle2.pdparams', 'pickle', { 'linear.weight': 'F32 3×4', bias: 'F32 4' }],
    ['paddle3.pdparams', 'pickle', { 'linear.weight': 'F32 3×4', bias: 'F32 4' }],
    ['paddle4.pdparams', 'pickle', { 'linear.weight': 'F32 3×4', bias: 'F32 4' }],
    ['lod.pdparams', 'pickle', { 'linear.weight': 'F32 3×4' }],
  ])('%s', async (name, format, expected) => {
    const inspection = await look(file(name));
    expect(inspection.format).toBe(format);
    expect(tensors(inspection)).toMatchObject(expected);
  });

  test('a tensor that did not change gives the same chunks wherever it lies in the file, and the parts are the whole', () => {
    const hashes = (name: string) => {
      const found: { hash: string; size: number }[] = [];
      const buffers = () => Buffer.alloc(4 << 20);
      hashFile(join(folder, name), buffers, ({ hash, size }) =>
        found.push({ hash: Buffer.from(hash).toString('hex'), size }),
      );
      return found;
    };
    const [first, second] = [hashes('frozen1.pt'), hashes('frozen2.pt')];
    expect(first.reduce((sum, { size }) => sum + size, 0)).toBe(file('frozen1.pt').length);
    const known = new Set(first.map(({ hash }) => hash));
    const shared = second.filter(({ hash }) => known.has(hash)).reduce((sum, { size }) => sum + size, 0);
    // 8 MiB are the frozen layer; the trained part is new.
    expect(shared).toBe(8 << 20);
  });

  test('statistics of the older format are those of the tensors', async () => {
    const { statistics } = await look(file('old.pt'));
    expect([...statistics.values()]).toMatchObject([{ statistics: { mean: 2 } }, { statistics: { mean: 1 } }]);
  });
});

describe('files of Keras', () => {
  async function hdf5(path: string): Promise<void> {
    const { default: h5wasm } = await import('h5wasm/node');
    await h5wasm.ready;
    const made = new h5wasm.File(path, 'w');
    made.create_attribute('keras_version', '3.1.1');
    made
      .create_group('layers')
      .create_group('dense')
      .create_dataset({
        name: 'kernel',
        data: new Float32Array([1, 2, 3, Number.NaN, 5, 6]),
        shape: [2, 3],
      });
    made.close();
  }

  test('an .h5 file and the weights inside of a .keras file are listed', async () => {
    const work = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
    try {
      await hdf5(join(work, 'a.h5'));
      const weights = readFileSync(join(work, 'a.h5'));
      writeFileSync(join(work, 'a.keras'), storedZip('model.weights.h5', weights));
      for (const [name, format] of [
        ['a.h5', 'hdf5'],
        ['a.keras', 'keras'],
      ] as const) {
        const inspection = await inspect(join(work, name), true);
        expect(inspection).toMatchObject({ format, version: 'keras 3.1.1', tensorCount: 1, elements: 6 });
        expect(inspection.tensors[0]).toMatchObject({
          name: 'layers/dense/kernel',
          dtype: 'F32',
          shape: [2, 3],
          bytes: 24,
          statistics: { min: 1, max: 6, nan: 1 },
        });
      }
      const random = mulberry(5);
      for (let round = 0; round < 12; round++) {
        const bytes = Buffer.from(
          weights.subarray(0, round % 2 ? weights.length : Math.floor(random() * weights.length)),
        );
        for (let bit = 0; bit < round * 4 && bytes.length > 8; bit++)
          bytes[8 + Math.floor(random() * (bytes.length - 8))]! ^= 1 << Math.floor(random() * 8);
        writeFileSync(join(work, 'broken.h5'), bytes);
        const result = await inspect(join(work, 'broken.h5'), true).catch((error) => error);
        if (result instanceof Error) expect(result).toMatchObject({ code: 'fileUnreadable' });
      }
    } finally {
      rmSync(work, { recursive: true });
    }
  }, 120_000);
});

/** Makes a zip with one stored entry. */
function storedZip(name: string, data: Buffer): Buffer {
  const text = Buffer.from(name);
  const local = Buffer.alloc(30);
  local.writeUInt32LE(0x04034b50, 0);
  local.writeUInt32LE(data.length, 18);
  local.writeUInt32LE(data.length, 22);
  local.writeUInt16LE(text.length, 26);
  const central = Buffer.alloc(46);
  central.writeUInt32LE(0x02014b50, 0);
  central.writeUInt32LE(data.length, 20);
  central.writeUInt32LE(data.length, 24);
  central.writeUInt16LE(text.length, 28);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(1, 8);
  end.writeUInt16LE(1, 10);
  end.writeUInt32LE(46 + text.length, 12);
  end.writeUInt32LE(30 + text.length + data.length, 16);
  return Buffer.concat([local, text, data, central, text, end]);
}

describe.skipIf(!PYTHON)('hostile files', () => {
  test('no pickle starts anything, hangs or crashes: it is read as what it is, or refused with a reason', async () => {
    const names = readdirSync(folder).filter((name) => /^(hostile|bomb)/.test(name));
    expect(names.length).toBeGreaterThan(35);
    for (const name of names) {
      const result = await inspect(join(folder, name), true).catch((error) => error);
      if (result instanceof Error) expect([name, result]).toMatchObject([name, { code: 'fileUnreadable' }]);
      else expect([name, result.tensors.length]).toEqual([name, 0]);
    }
    expect(existsSync(join(folder, 'pwned'))).toBe(false);
    expect(existsSync('pwned')).toBe(false);
    const system = await inspect(join(folder, 'hostile-reduce.pkl'), false);
    expect(system.classes).toEqual([{ name: 'posix.system', count: 1 }]);
    const evaluated = await inspect(join(folder, 'hostile-eval.pkl'), false);
    expect(evaluated.classes).toEqual([{ name: '__builtin__.eval', count: 1 }]);
  }, 120_000);

  test('cut off or with bits turned, a file is refused or read; its memory stays bounded', async () => {
    const random = mulberry(7);
    for (const name of ['all.pt', 'old.pt', 'packed.npz', 'paddle2.pdparams', 'script.pt']) {
      const whole = file(name);
      for (let round = 0; round < 150; round++) {
        const bytes = Buffer.from(
          whole.subarray(0, round % 3 === 0 ? Math.floor(random() * whole.length) : whole.length),
        );
        for (let bit = 0; bit < (round % 3 === 0 ? 0 : 1 + (round % 8)) && bytes.length > 0; bit++)
          bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
        try {
          await look(bytes);
        } catch (error) {
          if (!(error instanceof FormatError)) throw new Error(`${name}: ${(error as Error).stack}`);
        }
      }
    }
  });

  test('a directory that lies about sizes and places is refused', async () => {
    const whole = file('all.pt');
    const directory = whole.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    for (const at of [20, 24, 42]) {
      const lying = Buffer.from(whole);
      lying.writeUInt32LE(0x7fffffff, directory + at);
      await expect(look(lying)).rejects.toThrow(FormatError);
    }
  });

  test('random bytes after every opcode end in an error that is ours', () => {
    const random = mulberry(3);
    for (let code = 0; code < 256; code++) {
      const bytes = Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256)));
      bytes[0] = code;
      try {
        readPickle((offset, length) => bytes.subarray(offset, offset + length), { start: 0, end: bytes.length });
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });

  test('a file that is written while it is read is noticed', async () => {
    const path = join(temporaryFolder(), 'moving.safetensors');
    const header = Buffer.from(JSON.stringify({ w: { dtype: 'F32', shape: [1 << 24], data_offsets: [0, 1 << 26] } }));
    const start = Buffer.alloc(8);
    start.writeBigUInt64LE(BigInt(header.length));
    writeFileSync(path, Buffer.concat([start, header]));
    truncateSync(path, 8 + header.length + (1 << 26));
    let over = false;
    const looking = inspect(path, true)
      .catch((error) => error)
      .finally(() => {
        over = true;
      });
    const target = openSync(path, 'r+');
    const writer = setInterval(() => writeSync(target, Buffer.alloc(1), 0, 1, 1 << 26), 5);
    const result = await looking;
    clearInterval(writer);
    closeSync(target);
    expect(over).toBe(true);
    expect(result).toMatchObject({
      code: 'fileUnreadable',
      message: expect.stringContaining('changed while it was read'),
    });
  });
});

function mulberry(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
