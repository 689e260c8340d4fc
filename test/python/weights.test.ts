/** The diff of tensors, against NumPy's numbers for the same files. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { diffWeights } from '../../daemon/diff/weights.ts';
import type { NameMapping } from '../../daemon/tensors/names.ts';
import type { TensorNumbers } from '../../protocol/diff.ts';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON, script } from '../support/python.ts';
import { CONTENT_WORKERS, keepFiles, openStored, type Stored, sidesOf, UNWATCHED } from '../support/stored.ts';

let folder = '';

beforeAll(() => {
  if (!PYTHON) return;
  folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  const made = spawnSync(PYTHON, ['-W', 'ignore', script('weights.py'), folder], { encoding: 'utf8' });
  if (made.status !== 0) throw new Error(made.stderr);
}, 120_000);

afterAll(() => {
  if (folder) rmSync(folder, { recursive: true });
});

async function compare(first: string[], second: string[], mapping: NameMapping[] = [], watcher = UNWATCHED) {
  const stored = await openStored(temporaryFolder());
  return compareIn(stored, first, second, mapping, watcher);
}

async function compareIn(
  stored: Stored,
  first: string[],
  second: string[],
  mapping: NameMapping[] = [],
  watcher = UNWATCHED,
) {
  const keep = (names: string[], step: number) => keepFiles(stored, step, ...names.map((name) => join(folder, name)));
  const ids = [await keep(first, 1), await keep(second, 2)];
  return diffWeights(sidesOf(stored), CONTENT_WORKERS, ids, mapping, watcher);
}

/** Compares up to the last bits of float64 sums, which depend on the order of summation. */
function close(numbers: TensorNumbers, truth: TensorNumbers): void {
  const { norms, cosine, relative: _, ...exact } = numbers;
  const { norms: trueNorms, cosine: trueCosine, ...trueExact } = truth;
  expect(exact).toEqual(trueExact);
  norms.forEach((norm, i) => {
    expect(Math.abs(norm - trueNorms[i]!)).toBeLessThanOrEqual(1e-12 * trueNorms[i]!);
  });
  if (trueCosine === null || cosine === null) expect(cosine).toBe(trueCosine);
  else expect(cosine).toBeCloseTo(trueCosine, 12);
}

describe.skipIf(!PYTHON)('tensors of two checkpoints', () => {
  test('every number is NumPy’s: large, half, strided, channels last, tied, of integers, with NaN, infinity and −0', async () => {
    const truth = JSON.parse(readFileSync(join(folder, 'truth.json'), 'utf8')) as Record<string, TensorNumbers>;
    const found = await compare(['first.pt'], ['second.pt']);
    expect(found.equal).toBe(false);
    const byName = new Map(found.tensors.map((tensor) => [tensor.name.replace('state_dict.', ''), tensor]));
    const changed = Object.keys(truth).filter((name) => truth[name]!.changed > 0 && name !== 'tied');
    expect(changed).toEqual(
      expect.arrayContaining(['brain', 'channels', 'turned', 'sliced', 'special', 'tiny', 'zeros']),
    );
    expect([...byName.keys()].sort()).toEqual(changed.sort());
    for (const name of changed) close(byName.get(name)!.numbers!, truth[name]!);
    // `same` is known by its chunk; the other equal ones are small, and share a chunk with changed ones.
    expect(found.counts).toEqual({
      equal: Object.keys(truth).length - changed.length - 1,
      equalUnread: expect.any(Number),
      changed: changed.length,
      reshaped: 0,
      unreadable: 0,
    });
    expect(found.counts.equalUnread).toBeGreaterThan(0);
    const [total] = found.totals;
    const sum = (of: (numbers: TensorNumbers) => number) => changed.reduce((all, name) => all + of(truth[name]!), 0);
    expect(total).toMatchObject({ part: 'weights', changed: sum((numbers) => numbers.changed) });
    expect(total!.norm).toBeCloseTo(Math.sqrt(sum(({ norms }) => norms[2] ** 2)), 6);
  });

  test('the same numbers in other files are equal: safetensors, NumPy in row and column order, compressed or not', async () => {
    for (const other of ['plain.safetensors', 'plain.npz', 'packed.npz'])
      expect(await compare(['plain.pt'], [other]), other).toMatchObject({
        equal: true,
        counts: { equal: 2, changed: 0 },
        only: [{ count: 0 }, { count: 0 }],
      });
  });

  test('names are brought together without what wrappers add, and it is said', async () => {
    const parallel = await compare(['plain.pt'], ['parallel.pt']);
    expect(parallel.tensors.map(({ name, otherName }) => [name, otherName]).sort()).toEqual([
      ['fc.bias', 'module.fc.bias'],
      ['fc.weight', 'module.fc.weight'],
    ]);
    expect(parallel.tensors[0]!.numbers!.largest!.change).toBeCloseTo(1, 6);
    expect(parallel.notes).toEqual(['2 names were matched without module.']);
    const compiled = await compare(['plain.pt'], ['compiled.pt']);
    expect(compiled).toMatchObject({ equal: true, counts: { equal: 2 } });
    expect(compiled.notes.join()).toContain('_orig_mod.');
  });

  test('names that differ are compared as told; a mapping that fits nothing is said', async () => {
    const told = await compare(['plain.pt'], ['renamed.pt'], [{ from: 'fc.', to: 'dense.' }]);
    expect(told).toMatchObject({ equal: true, notes: ['2 names were mapped as requested: fc.… to dense.…'] });
    const wrong = await compare(['plain.pt'], ['parallel.pt'], [{ from: 'x', to: 'y' }]);
    expect(wrong.notes).toContain('No name begins with "x" and has a partner with "y".');
  });

  test('another shape is a change without numbers, another type one with them; what one side alone has is named', async () => {
    const found = await compare(['plain.pt'], ['reshaped.pt']);
    expect(found.counts).toMatchObject({ reshaped: 1, changed: 1, equal: 0 });
    const [weight, bias] = found.tensors;
    expect(weight).toMatchObject({
      name: 'fc.weight',
      shapes: [
        [4, 3],
        [5, 3],
      ],
      numbers: null,
    });
    expect(bias).toMatchObject({ name: 'fc.bias', dtypes: ['F32', 'BF16'], numbers: { elements: 4, changed: 4 } });
    expect(bias!.numbers!.relative).toBeLessThan(2 ** -8);
    expect(found.only).toEqual([
      { names: [], count: 0 },
      { names: ['extra'], count: 1 },
    ]);
  });

  test('what is tied on one side alone is compared by each of its names', async () => {
    const found = await compare(['tied.pt'], ['untied.pt']);
    expect(found.tensors.map(({ name }) => name)).toEqual(['head']);
    expect(found).toMatchObject({ counts: { equal: 1, changed: 1 }, only: [{ count: 0 }, { count: 0 }] });
    // On both sides it is one tensor.
    const same = await compare(['tied.pt', 'plain.pt'], ['plain.pt', 'tied.pt']);
    expect(same).toMatchObject({ equal: true, counts: { equal: 3, changed: 0 } });
  });

  test('checkpoints that have nothing in common are refused, with names of both', async () => {
    await expect(compare(['plain.pt'], ['stranger.pt'])).rejects.toMatchObject({
      code: 'nothingInCommon',
      message: expect.stringContaining('--map'),
      data: { names: [['fc.weight', 'fc.bias'], ['other']] },
    });
  });

  test('a checkpoint without tensors is refused, by its files', async () => {
    writeFileSync(join(folder, 'notes.txt'), 'no tensors');
    await expect(compare(['plain.pt'], ['notes.txt'])).rejects.toMatchObject({
      code: 'nothingInCommon',
      message: expect.stringContaining('notes.txt'),
    });
  });

  test('the same files are equal without a byte read; of several files each with its like', async () => {
    const stored = await openStored(temporaryFolder());
    const same = await compareIn(stored, ['plain.pt', 'second.pt'], ['plain.pt', 'second.pt']);
    expect(same).toMatchObject({ equal: true, readBytes: 0 });
    const one = await compareIn(stored, ['plain.pt', 'second.pt'], ['plain.pt', 'first.pt', 'second.pt']);
    expect(one.only[1]!.count).toBeGreaterThan(0);
    expect(one.counts).toMatchObject({ changed: 0, reshaped: 0 });
  });

  test('cancelled in its middle it ends, and the store goes on', async () => {
    const stored = await openStored(temporaryFolder());
    const cancel = new AbortController();
    const watcher = { signal: cancel.signal, progress: () => cancel.abort() };
    await expect(compareIn(stored, ['first.pt'], ['second.pt'], [], watcher)).rejects.toMatchObject({
      code: 'cancelled',
    });
    expect((await compareIn(stored, ['first.pt'], ['second.pt'])).equal).toBe(false);
  });
});
