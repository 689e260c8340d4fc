/** Stored files from strangers, compared and exported: never more than they contain, and nothing that is not theirs. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runContentRequest } from '../../daemon/tensors/client.ts';
import type { ExportTensorsRequest } from '../../daemon/tensors/requests.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { fileThatLeadsOut } from '../support/hdf5-links.ts';
import { dictPickle, safetensors, tensorPickle, torchFile, zipFile } from '../support/hostile.ts';
import { CONTENT_WORKERS, keepFiles, openStored, UNWATCHED } from '../support/stored.ts';

async function bench() {
  const stored = await openStored(temporaryFolder());
  mkdirSync(join(stored.folder, 'in'));
  const path = join(stored.folder, 'out');
  let count = 0;
  const keep = (name: string, bytes: Buffer) => {
    const file = join(stored.folder, 'in', name);
    writeFileSync(file, bytes);
    return keepFiles(stored, ++count, file);
  };
  const write = (checkpoint: string, format: ExportTensorsRequest['format']) =>
    runContentRequest(
      CONTENT_WORKERS,
      stored.store,
      { do: 'exportTensors', checkpoint, format, full: true, strip: null, path, metadata: {} },
      UNWATCHED,
    );
  const compare = (first: string, second: string) =>
    runContentRequest(
      CONTENT_WORKERS,
      stored.store,
      { do: 'compare', checkpoints: [first, second], mapping: [] },
      UNWATCHED,
    );
  return { ...stored, path, keep, write, compare };
}

const four = Buffer.from(Float32Array.of(1, 2, 3, 4).buffer);

test('many views of the same memory are not written out each; one that is expanded a little is', async () => {
  const { keep, write, path } = await bench();
  const views = (size: number[], stride: number[], count: number) =>
    torchFile(
      dictPickle(
        Object.fromEntries(Array.from({ length: count }, (_, i) => [`w${i}`, tensorPickle('0', { size, stride })])),
      ),
      { 0: four },
    );
  // Each has its own shape, so that none is tied to another.
  const shapes = torchFile(
    dictPickle(
      Object.fromEntries(
        Array.from({ length: 300 }, (_, i) => [`w${i}`, tensorPickle('0', { size: [1 << 20, i + 1], stride: [0, 0] })]),
      ),
    ),
    { 0: four },
  );
  for (const [name, file] of [
    ['shapes.pt', shapes],
    ['endless.pt', views([2 ** 20, 2 ** 20], [0, 0], 1)],
    ['ties.pt', views([2 ** 14, 2 ** 12], [0, 0], 40)],
  ] as const) {
    const id = await keep(name, file);
    // Formats without ties write each of the tied tensors.
    await expect(write(id, 'npz')).rejects.toMatchObject({
      code: 'formatUnavailable',
      message: expect.stringMatching(
        /views of the same memory: written in full they would take [\d.]+ (GB|TB), but the checkpoint holds only 4 B/,
      ),
    });
    expect(existsSync(path)).toBe(false);
  }
  await write(await keep('little.pt', views([3, 4], [0, 1], 1)), 'safetensors');
  expect(readFileSync(path).subarray(-48)).toEqual(Buffer.concat([four, four, four]));
});

test('tensors over each other are refused, and the file itself is given back as it is', async () => {
  const { keep, write, store, path } = await bench();
  const range = { dtype: 'F32', shape: [64], data_offsets: [0, 256] };
  const file = safetensors({ a: range, b: range }, 256);
  const id = await keep('over.safetensors', file);
  await expect(write(id, 'safetensors')).rejects.toMatchObject({
    code: 'formatUnavailable',
    message: expect.stringContaining('overlap'),
  });
  await runContentRequest(CONTENT_WORKERS, store, { do: 'exportOriginal', checkpoint: id, path }, UNWATCHED);
  expect(readFileSync(path)).toEqual(file);
});

test('nothing of another file gets into an export, whatever an HDF5 file refers to', async () => {
  const { keep, write, path, folder } = await bench();
  writeFileSync(join(folder, 'in', 'secret.txt'), 'S'.repeat(64));
  const id = await keep('links.h5', fileThatLeadsOut());
  await expect(write(id, 'npz')).rejects.toMatchObject({
    code: 'formatUnavailable',
    message: expect.stringContaining('its numbers are in "secret.txt", which is not read'),
  });
  expect(existsSync(path)).toBe(false);
});

test('what is packed is compared and exported as what it is, and leaves nothing behind', async () => {
  const { keep, write, compare, path } = await bench();
  const values = Float32Array.from({ length: 300_000 }, (_, i) => Math.sin(i));
  const header = `{'descr': '>f4', 'fortran_order': False, 'shape': (300000,), }`.padEnd(117);
  const npy = Buffer.concat([Buffer.from('\x93NUMPY\x01\0\x76\0', 'latin1'), Buffer.from(`${header}\n`)]);
  const swapped = Buffer.from(values.buffer.slice(0)).swap32();
  const packed = zipFile([{ name: 'w.npy', data: Buffer.concat([npy, swapped]), method: 8 }]);
  const plain = safetensors({ w: { dtype: 'F32', shape: [300_000], data_offsets: [0, 1_200_000] } }, 0);
  const own = temporaryFolder();
  const { TMPDIR } = process.env;
  process.env.TMPDIR = own;
  afterwards(() => {
    if (TMPDIR === undefined) delete process.env.TMPDIR;
    else process.env.TMPDIR = TMPDIR;
  });
  const id = await keep('packed.npz', packed);
  const other = await keep('plain.safetensors', Buffer.concat([plain, Buffer.from(values.buffer)]));
  expect(await compare(id, other)).toMatchObject({ equal: true, counts: { equal: 1, changed: 0, unreadable: 0 } });
  await write(id, 'safetensors');
  const file = readFileSync(path);
  expect(file.subarray(-1_200_000).equals(Buffer.from(values.buffer))).toBe(true);
  expect(readdirSync(own)).toEqual([]);
});

test('a checkpoint that nobody can look into is told by its files', async () => {
  const { keep, compare } = await bench();
  const broken = await keep('broken.pt', torchFile(Buffer.from('\x80\x02R.', 'latin1')));
  const fine = await keep('fine.pt', torchFile(dictPickle({ w: tensorPickle('0') }), { 0: four }));
  await expect(compare(broken, fine)).rejects.toMatchObject({
    code: 'nothingInCommon',
    message: expect.stringContaining('broken.pt: the pickle takes what is not there'),
  });
});
