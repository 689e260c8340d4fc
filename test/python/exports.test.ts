/** Exported files as others read them: torch, NumPy, pickle, and the readers in exports.py. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Place } from '../../daemon/code/project.ts';
import { diffWeights } from '../../daemon/diff/weights.ts';
import { exportTo } from '../../daemon/export/export.ts';
import type { ExportContext } from '../../daemon/export/source.ts';
import { sweepExports } from '../../daemon/export/target.ts';
import { SecretParams } from '../../daemon/runs/launch/secret-params.ts';
import type { ExportManifest, ExportResult } from '../../protocol/export.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON, script } from '../support/python.ts';
import { CONTENT_WORKERS, keepFiles, openStored, reopen, type Stored, sidesOf, UNWATCHED } from '../support/stored.ts';

let folder = '';
let known: Record<string, Record<string, Described>> = {};

/** Type, shape, and SHA-256 of the elements row by row. */
type Described = [string, number[], string];

beforeAll(() => {
  if (!PYTHON) return;
  folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  const made = spawnSync(PYTHON, ['-W', 'ignore', script('exports.py'), 'make', folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
  known = JSON.parse(readFileSync(join(folder, 'names.json'), 'utf8'));
}, 120_000);

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true });
});

interface Bench extends Stored {
  out: string;
  keep(...names: string[]): Promise<string>;
  write(source: string, format: string, options?: Partial<Parameters<typeof exportTo>[1]>): Promise<ExportResult>;
}

async function openBench(watcher = UNWATCHED, made?: Stored): Promise<Bench> {
  const stored = made ?? (await openStored(temporaryFolder()));
  const out = join(stored.folder, 'out');
  mkdirSync(out, { recursive: true });
  const context: ExportContext = {
    place: { root: stored.folder, store: join(stored.folder, 'store') } as Place,
    store: stored.store,
    trainer: '',
    runner: '',
    backends: null as never,
    secrets: new SecretParams(),
    branches: null,
    announce: { project() {}, run() {}, checkpoint() {}, metrics() {}, notice() {} },
    log() {},
    isOurs: () => true,
    contentWorkers: CONTENT_WORKERS,
    isWhole: async () => true,
    findCheckpoint: async (id) => (await stored.store.checkpoint(id))!,
    requireTrust: async () => {},
  };
  let count = 0;
  return {
    ...stored,
    out,
    keep: (...names) => keepFiles(stored, ++count, ...names.map((name) => join(folder, name))),
    write: (source, format, options = {}) =>
      exportTo(
        context,
        {
          source,
          format,
          path: join(out, `file.${format === 'state_dict' ? 'pt' : format}`),
          full: false,
          strip: null,
          force: false,
          environment: {},
          ...options,
        },
        watcher,
      ),
  };
}

function read(...paths: string[]): Record<string, { tensors: Record<string, Described> } & Record<string, unknown>> {
  const done = spawnSync(PYTHON, ['-W', 'ignore', script('exports.py'), 'read', ...paths], { encoding: 'utf8' });
  if (done.status !== 0) throw new Error(done.stderr);
  return JSON.parse(done.stdout);
}

describe.skipIf(!PYTHON)('a checkpoint of PyTorch, exported', () => {
  test('is what torch, NumPy, pickle and a reader of safetensors find: types, shapes, every bit; strides undone', async () => {
    const bench = await openBench();
    const id = await bench.keep('odd.pt');
    for (const format of ['state_dict', 'npz', 'pdparams', 'safetensors']) await bench.write(id, format);
    const found = read(...['pt', 'npz', 'pdparams', 'safetensors'].map((ending) => join(bench.out, `file.${ending}`)));
    const truth = known.odd!;
    expect(found['file.pt']!.tensors).toEqual(truth);
    expect(found['file.pt']).toMatchObject({ class: 'OrderedDict', tied: [['embed.weight', 'head.weight']] });
    const { 'head.weight': _, ...untied } = truth;
    expect(found['file.safetensors']!.tensors).toEqual(untied);
    expect(found['file.safetensors']!.metadata).toMatchObject({ 'head.weight': 'embed.weight', format: 'pt' });
    // Formats without a bfloat16 type have its bits, or float32.
    const [, shape, bits] = truth.brain!;
    expect(found['file.pdparams']!.tensors).toEqual({ ...truth, brain: ['uint16', shape, bits] });
    expect(found['file.npz']!.tensors).toMatchObject({ ...truth, brain: ['float32', shape, expect.any(String)] });
  });

  test('as a state_dict has the model’s own names: of a box, of Lightning; names that are the model’s stay', async () => {
    const bench = await openBench();
    for (const [file, notes] of [
      ['plain_epoch_3.pt', ['The prefix "model.", which all names had, was removed.']],
      ['lightning.ckpt', ['The prefix "state_dict.model.", which all names had, was removed.']],
    ] as const) {
      const result = await bench.write(await bench.keep(file), 'state_dict', { force: true });
      expect(result.notes).toEqual(notes);
      expect(read(result.path)['file.pt']!.tensors).toEqual(known.plain);
    }
    for (const file of ['flat.pt', 'flat.safetensors']) {
      const flat = await bench.write(await bench.keep(file), 'state_dict', { force: true });
      expect(flat.notes).toEqual([]);
      expect(Object.keys(read(flat.path)['file.pt']!.tensors)).toEqual(
        Object.keys(known.plain!).map((name) => `model.${name}`),
      );
    }
    const told = await bench.write(await bench.keep('flat.pt'), 'state_dict', { force: true, strip: 'model.' });
    expect(read(told.path)['file.pt']!.tensors).toEqual(known.plain);
    expect(told.notes).toEqual(['The prefix "model." was removed from the names that had it.']);
    const vain = await bench.write(await bench.keep('flat.pt'), 'state_dict', { force: true, strip: 'x.' });
    expect(vain.notes).toEqual(['No name begins with "x.".']);
  });

  test('loses no tensor to another of its name: files of ranks keep theirs, and what cannot be told apart is refused', async () => {
    const bench = await openBench();
    const ranks = await bench.write(await bench.keep('rank0.pt', 'rank1.pt'), 'npz', { force: true });
    expect(Object.keys(read(ranks.path)['file.npz']!.tensors).sort()).toEqual(['rank0.w', 'rank1.w']);
    const compiled = await bench.write(await bench.keep('compiled.pt'), 'npz', { force: true });
    expect(Object.keys(read(compiled.path)['file.npz']!.tensors).sort()).toEqual(['_orig_mod.w', 'w']);
    await expect(bench.write(await bench.keep('twice.pt'), 'npz', { force: true })).rejects.toMatchObject({
      code: 'formatUnavailable',
      message: expect.stringContaining('two tensors are called "a.b"'),
    });
  });

  test('in full has the optimizer’s tensors too, by all their names', async () => {
    const bench = await openBench();
    const result = await bench.write(await bench.keep('plain_epoch_3.pt'), 'safetensors', { full: true });
    const names = Object.keys(read(result.path)['file.safetensors']!.tensors);
    expect(names).toEqual(expect.arrayContaining(['model.0.weight', 'optimizer.state.0.exp_avg']));
  });

  test('as it is, is byte for byte the same; several files are a folder', async () => {
    const bench = await openBench();
    const one = await bench.write(await bench.keep('odd.pt'), 'original', { path: join(bench.out, 'one.pt') });
    expect(readFileSync(one.path).equals(readFileSync(join(folder, 'odd.pt')))).toBe(true);
    const two = await bench.write(await bench.keep('odd.pt', 'flat.pt'), 'original', { path: join(bench.out, 'two') });
    expect(readdirSync(two.path).sort()).toEqual(['flat.pt', 'odd.pt']);
    expect(readFileSync(join(two.path, 'flat.pt')).equals(readFileSync(join(folder, 'flat.pt')))).toBe(true);
  });

  test('has a manifest beside it whose hashes are the files’ own', async () => {
    const bench = await openBench();
    const id = await bench.keep('odd.pt');
    for (const format of ['state_dict', 'safetensors']) {
      const result = await bench.write(id, format);
      const manifest = JSON.parse(readFileSync(result.manifest, 'utf8')) as ExportManifest;
      expect(manifest).toMatchObject({ trainstash: 1, format, run: { id: bench.run.id }, checkpoint: { id, step: 1 } });
      const bytes = readFileSync(result.path);
      const sha256 = createHash('sha256').update(bytes).digest('hex');
      expect(manifest.files).toEqual([{ name: '', bytes: bytes.length, sha256 }]);
    }
  });
});

describe.skipIf(!PYTHON)('an export that cannot be', () => {
  async function refused(bench: Bench, work: Promise<unknown>, error: object): Promise<void> {
    const before = readdirSync(bench.out);
    await expect(work).rejects.toMatchObject(error);
    expect(readdirSync(bench.out)).toEqual(before);
    expect(readdirSync(join(bench.folder, 'store', 'exports'), { recursive: true })).toEqual([]);
  }

  test('keeps what is there; with --force it replaces a file, never a folder', async () => {
    const bench = await openBench();
    const id = await bench.keep('odd.pt');
    const path = join(bench.out, 'mine.npz');
    writeFileSync(path, 'mine');
    mkdirSync(join(bench.folder, 'store', 'exports'), { recursive: true });
    await refused(bench, bench.write(id, 'npz', { path }), { code: 'outputExists', data: { path } });
    expect(readFileSync(path, 'utf8')).toBe('mine');
    await bench.write(id, 'npz', { path, force: true });
    expect(read(path)['mine.npz']!.tensors.scalar).toBeDefined();
    await refused(bench, bench.write(id, 'npz', { path: bench.out, force: true }), {
      code: 'outputUnusable',
      data: { problem: 'it is a folder' },
    });
    await refused(bench, bench.write(id, 'npz', { path: join(bench.out, 'no/such/folder.npz') }), {
      code: 'outputUnusable',
    });
  });

  test('says which formats there are', async () => {
    const bench = await openBench();
    mkdirSync(join(bench.folder, 'store', 'exports'), { recursive: true });
    const id = await bench.keep('odd.pt');
    await refused(bench, bench.write(id, 'onnx'), {
      code: 'formatUnavailable',
      message: expect.stringContaining('`export`'),
      data: { format: 'onnx', available: ['safetensors', 'state_dict', 'npz', 'pdparams', 'original'] },
    });
    await refused(bench, bench.write(id, 'gguf'), {
      code: 'formatUnavailable',
      message: expect.stringContaining('npz'),
    });
    await refused(bench, bench.write(await bench.keep('complex.pt'), 'safetensors'), {
      code: 'formatUnavailable',
      message: expect.stringContaining('"z" (C128)'),
    });
    writeFileSync(join(folder, 'words.txt'), 'no tensors');
    await refused(bench, bench.write(await bench.keep('words.txt'), 'npz'), {
      code: 'formatUnavailable',
      message: expect.stringContaining('no readable tensors'),
    });
  });

  test('cancelled in its middle leaves nothing', async () => {
    const cancel = new AbortController();
    const bench = await openBench({ signal: cancel.signal, progress: () => cancel.abort() });
    mkdirSync(join(bench.folder, 'store', 'exports'), { recursive: true });
    await refused(bench, bench.write(await bench.keep('odd.pt'), 'safetensors'), { code: 'cancelled' });
  });

  test('on a full disk leaves nothing, and says so', async (context) => {
    const bench = await openBench();
    mkdirSync(join(bench.folder, 'store', 'exports'), { recursive: true });
    const id = await bench.keep('odd.pt');
    if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', bench.out]).status !== 0)
      return context.skip('no small file system can be mounted here');
    try {
      for (const format of ['safetensors', 'npz', 'original'])
        await refused(bench, bench.write(id, format), {
          code: 'outputUnusable',
          data: { problem: expect.stringContaining('the disk has') },
        });
    } finally {
      spawnSync('umount', [bench.out]);
    }
  });

  test('of a damaged chunk is neither written nor compared: the checkpoint is named corrupted', async () => {
    const before = await openBench();
    const [id, other] = [await before.keep('odd.pt'), await before.keep('odd2.pt')];
    await before.store.close();
    const file = join(before.folder, 'store/objects.db');
    const bytes = readFileSync(file);
    const tensor = readFileSync(join(folder, 'odd.pt')).subarray(-400_000);
    bytes[bytes.indexOf(tensor.subarray(0, 16))]! ^= 4;
    writeFileSync(file, bytes);
    const bench = await openBench(UNWATCHED, await reopen(before));
    mkdirSync(join(bench.folder, 'store', 'exports'), { recursive: true });
    for (const format of ['safetensors', 'state_dict', 'original'])
      await refused(bench, bench.write(id, format), { code: 'corrupted' });
    await expect(diffWeights(sidesOf(bench), CONTENT_WORKERS, [id, other], [], UNWATCHED)).rejects.toMatchObject({
      code: 'corrupted',
    });
  });

  test('left half-written by a daemon that was killed, goes when the project is opened again', async () => {
    const store = temporaryFolder();
    const out = temporaryFolder();
    const temporary = join(out, '.trainstash-tmp-abc.npz');
    writeFileSync(temporary, 'half');
    writeFileSync(join(out, 'mine.npz'), 'mine');
    mkdirSync(join(store, 'exports/abc.tmp'), { recursive: true });
    writeFileSync(join(store, 'exports/abc.json'), JSON.stringify({ temporary }));
    // A record that names something that Trainstash does not write is not followed.
    writeFileSync(join(store, 'exports/def.json'), JSON.stringify({ temporary: join(out, 'mine.npz') }));
    sweepExports(store);
    expect(readdirSync(out)).toEqual(['mine.npz']);
    expect(readdirSync(join(store, 'exports'))).toEqual([]);
    expect(existsSync(temporary)).toBe(false);
    expect(basename(temporary)).toMatch(/^\.trainstash-tmp-/);
  });
});
