/** Distributed checkpoints of today's torch, as a script writes them: put together from the shards of two processes. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { diffWeights } from '../../daemon/diff/weights.ts';
import { runContentRequest } from '../../daemon/tensors/client.ts';
import { temporaryFolder } from '../support/folder.ts';
import { script } from '../support/python.ts';
import { CONTENT_WORKERS, keepFiles, openStored, sidesOf, UNWATCHED } from '../support/stored.ts';

const PYTHON = process.env.TRAINSTASH_TEST_TORCH ?? '';
/** Type, shape, and SHA-256 of the elements row by row. */
type Described = [dtype: string, shape: number[], sha256: string];
const DTYPES: Record<string, string> = {
  F64: 'torch.float64',
  F32: 'torch.float32',
  F16: 'torch.float16',
  BF16: 'torch.bfloat16',
  I64: 'torch.int64',
};

describe.skipIf(!PYTHON)('a distributed checkpoint of two processes', () => {
  let folder = '';
  let known: Record<string, Described> = {};

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
    const made = spawnSync(PYTHON, [script('distributed.py'), folder], { encoding: 'utf8' });
    if (made.status !== 0) throw new Error(made.stderr);
    known = JSON.parse(made.stdout);
  }, 300_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const files = (name: string) => readdirSync(join(folder, name)).map((file) => join(folder, name, file));

  test('is exported to one file with every tensor whole, however it was cut', async () => {
    const stored = await openStored(temporaryFolder());
    const id = await keepFiles(stored, 1, ...files('first'));
    const path = join(stored.folder, 'out.safetensors');
    const request = { checkpoint: id, format: 'safetensors', full: true, strip: null, path, metadata: {} } as const;
    await runContentRequest(CONTENT_WORKERS, stored.store, { do: 'exportTensors', ...request }, UNWATCHED);
    expect(tensorsOf(readFileSync(path))).toEqual(known);
  });

  test('is compared with another one by its tensors, and what is equal is not read', async () => {
    const stored = await openStored(temporaryFolder());
    const ids = [await keepFiles(stored, 1, ...files('first')), await keepFiles(stored, 2, ...files('second'))];
    const found = await diffWeights(sidesOf(stored), CONTENT_WORKERS, ids, [], UNWATCHED);
    expect(found.tensors.map(({ name }) => name).sort()).toEqual(
      Object.keys(known)
        .filter((name) => !/everywhere|plain|step/.test(name))
        .sort(),
    );
  });
});

function tensorsOf(file: Buffer): Record<string, Described> {
  const bytes = Number(file.readBigUInt64LE(0));
  const { __metadata__: _, ...header } = JSON.parse(file.subarray(8, 8 + bytes).toString('utf8'));
  return Object.fromEntries(
    Object.entries(header as Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>).map(
      ([name, { dtype, shape, data_offsets: at }]) => {
        const data = file.subarray(8 + bytes + at[0], 8 + bytes + at[1]);
        return [name, [DTYPES[dtype] ?? dtype, shape, createHash('sha256').update(data).digest('hex')]];
      },
    ),
  );
}
