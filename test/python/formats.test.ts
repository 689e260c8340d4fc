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
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { addStatistics, type Inspection, inspectFile } from '../../daemon/formats/inspect.ts';
import { readPickle } from '../../daemon/formats/pickle.ts';
import { FormatError } from '../../daemon/formats/safetensors.ts';
import { inspect } from '../../daemon/inspector.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON, script } from '../support/python.ts';
import { DIST } from '../support/trainer.ts';

const THREAD = pathToFileURL(join(DIST, 'inspect-thread.js'));
let folder = '';

beforeAll(() => {
  if (!PYTHON) return;
  folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  const made = spawnSync(PYTHON, ['-W', 'ignore', script('fixtures.py'), folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
}, 120_000);

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true });
});

function look(bytes: Buffer, statistics = false): Inspection {
  const read = (offset: number, length: number) => bytes.subarray(offset, offset + length);
  const inspection = inspectFile(read, bytes.length);
  if (statistics) addStatistics(inspection, read);
  return inspection;
}

const file = (name: string) => readFileSync(join(folder, name));
const tensors = (inspection: Inspection) =>
  Object.fromEntries(inspection.tensors.map(({ name, dtype, shape }) => [name, `${dtype} ${shape.join('×')}`]));

describe.skipIf(!PYTHON)('files of torch and NumPy', () => {
  test('all that a training saves is listed: tensors with types, shapes and ties, values, and other classes by name', () => {
    const inspection = look(file('all.pt'), true);
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
    expect(named('tied.0').statistics).toMatchObject({ min: 0, max: 23, mean: 11.5, zeros: 1, nan: 0 });
    expect(named('turned').statistics).toMatchObject({ max: 23, mean: 11.5 });
    expect(named('bf16').statistics).toMatchObject({ min: -2, max: 1 });
    expect(named('half').statistics).toMatchObject({ nan: 1, max: 0.5 });
    expect(named('array').statistics).toMatchObject({ max: 5 });
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
  ])('%s', (name, format, expected) => {
    const inspection = look(file(name), true);
    expect(inspection.format).toBe(format);
    expect(tensors(inspection)).toMatchObject(expected);
  });

  test('statistics of the older format are those of the tensors', () => {
    const { tensors: found } = look(file('old.pt'), true);
    expect(found.map(({ statistics }) => statistics?.mean)).toEqual([2, 1]);
  });
});

describe.skipIf(!PYTHON)('hostile files', () => {
  test('no pickle starts anything, hangs or crashes: it is read as what it is, or refused with a reason', async () => {
    const names = readdirSync(folder).filter((name) => /^(hostile|bomb)/.test(name));
    expect(names.length).toBeGreaterThan(35);
    for (const name of names) {
      const result = await inspect(THREAD, join(folder, name), true).catch((error) => error);
      if (result instanceof Error) expect([name, result]).toMatchObject([name, { code: 'fileUnreadable' }]);
      else expect([name, result.tensors.length]).toEqual([name, 0]);
    }
    expect(existsSync(join(folder, 'pwned'))).toBe(false);
    expect(existsSync('pwned')).toBe(false);
    const system = await inspect(THREAD, join(folder, 'hostile-reduce.pkl'), false);
    expect(system.classes).toEqual([{ name: 'posix.system', count: 1 }]);
    const evaluated = await inspect(THREAD, join(folder, 'hostile-eval.pkl'), false);
    expect(evaluated.classes).toEqual([{ name: '__builtin__.eval', count: 1 }]);
  }, 120_000);

  test('cut off or with bits turned, a file is refused or read; its memory stays bounded', () => {
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
          look(bytes, true);
        } catch (error) {
          if (!(error instanceof FormatError || error instanceof RangeError))
            throw new Error(`${name}: ${(error as Error).stack}`);
        }
      }
    }
  });

  test('a directory that lies about sizes and places is refused', () => {
    const whole = file('all.pt');
    const directory = whole.lastIndexOf(Buffer.from([0x50, 0x4b, 1, 2]));
    for (const at of [20, 24, 42]) {
      const lying = Buffer.from(whole);
      lying.writeUInt32LE(0x7fffffff, directory + at);
      expect(() => look(lying)).toThrow(FormatError);
    }
  });

  test('random bytes after every opcode end in an error that is ours', () => {
    const random = mulberry(3);
    for (let code = 0; code < 256; code++) {
      const bytes = Buffer.from(Array.from({ length: 64 }, () => Math.floor(random() * 256)));
      bytes[0] = code;
      try {
        readPickle(bytes);
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
    const looking = inspect(THREAD, path, true)
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
      message: expect.stringContaining('written while it was read'),
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
