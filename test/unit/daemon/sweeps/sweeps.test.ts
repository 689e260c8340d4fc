/** Values, draws and plans of sweeps, without a daemon. */
import { describe, expect, test } from 'vitest';
import { parseRanges } from '../../../../cli/ranges.ts';
import { parseConfig } from '../../../../daemon/runs/config.ts';
import { planOf, withSeed } from '../../../../daemon/sweeps/plan.ts';
import { paramsOfTrial } from '../../../../daemon/sweeps/space.ts';
import { bucketOf, failuresOf, pointsToReport, type TrialRun, troubleOf } from '../../../../daemon/sweeps/trials.ts';
import type { Run } from '../../../../protocol/domain.ts';
import { blankRun } from '../../../../protocol/records.ts';
import type { SweepPlan, SweepRecord } from '../../../../protocol/sweep.ts';

const jobOf = (sweep: object, more: object = {}) =>
  parseConfig(
    'trainstash.json',
    JSON.stringify({ jobs: { train: { run: 'python train.py', sweep, ...more } } }),
  ).jobs.get('train')!;
const asha = { kind: 'asha', minSteps: 100, reduction: 3 } as const;

test.each([
  ['lr', /takes NAME=VALUES/],
  ['=1', /takes NAME=VALUES/],
  ['lr=', /takes NAME=VALUES/],
  ['lr=1,,2', /empty value/],
  ['seed=5..1', /counts up/],
  ['seed=3..3', /counts up/],
  ['layers=[]', /no values/],
  ['lr=1..', /whole numbers on both sides/],
  ['lr=..5', /whole numbers on both sides/],
  ['seed=1..1e9', /whole numbers on both sides/],
  ['lr=0.1..0.5', /whole numbers on both sides/],
])('the values %s are a mistake', (text, message) => {
  expect(() => parseRanges([text])).toThrow(message);
  expect(() => parseRanges(['lr=1', 'lr=2'])).toThrow('given twice');
});

test('values are lists, whole numbers, and lists of JSON', () => {
  expect(
    parseRanges(['lr=1e-3,3e-4', 'seed=1..5', 'layers=[[64],[64,64]]', 'opt=adam, sgd', 'on=true', 'data=../a,..b']),
  ).toEqual({
    lr: { choice: [0.001, 0.0003] },
    seed: { int: [1, 5] },
    layers: { choice: [[64], [64, 64]] },
    opt: { choice: ['adam', 'sgd'] },
    on: { choice: [true] },
    data: { choice: ['../a', '..b'] },
  });
});

describe('a plan', () => {
  test.each([
    [{ params: { lr: { uniform: [1, 0] } } }, 'smaller bound first'],
    [{ params: { lr: { logUniform: [0, 1] } } }, 'above 0'],
    [{ params: { lr: { int: [1, 2], choice: [1] } } }, 'takes one of'],
    [{ params: { lr: 'log' } }, 'a list of values, or an object with one of "choice"'],
    [{ params: { lr: {} } }, 'takes one of'],
    [{ pruner: { kind: 'asha' } }, 'minSteps'],
    [{ sampler: 'optna' }, 'did you mean "optuna"?'],
    [{ sampels: 3 }, 'did you mean "samples"?'],
  ])('with %j in the job is refused with the place', (sweep, text) => {
    expect(() => jobOf(sweep)).toThrow(text);
  });

  test('draws the same values for a seed, within the ranges, and each combination of a small space once', () => {
    const range = { lr: { logUniform: [1e-5, 1e-1] }, n: { int: [1, 3] }, on: { choice: [true, false] } };
    const plan = planOf({ job: 'train', samples: 50 }, jobOf({ params: range }), []);
    const draws = Array.from({ length: 50 }, (_, trial) => paramsOfTrial(plan, trial));
    expect(draws).toEqual(Array.from({ length: 50 }, (_, trial) => paramsOfTrial(plan, trial)));
    expect(draws.every(({ lr }) => Number(lr) >= 1e-5 && Number(lr) <= 1e-1)).toBe(true);
    expect(draws.filter(({ lr }) => Number(lr) < 1e-3).length).toBeGreaterThan(10);
    expect(paramsOfTrial({ ...plan, seed: 1 }, 0)).not.toEqual(draws[0]);
    const small = planOf({ job: 'train', samples: 6 }, jobOf({ params: { n: range.n, on: range.on } }), []);
    expect(new Set(Array.from({ length: 6 }, (_, trial) => JSON.stringify(paramsOfTrial(small, trial)))).size).toBe(6);
  });

  test('of a grid has all combinations, of which the last param varies fastest', () => {
    const plan = planOf(
      { job: 'train', set: { a: { choice: [1, 2] }, b: { int: [5, 6] } } },
      jobOf({ samples: 3 }),
      [],
    );
    expect(plan).toMatchObject({ sampler: 'grid', runs: 4 });
    expect([0, 1, 2, 3].map((trial) => Object.values(paramsOfTrial(plan, trial)).join())).toEqual([
      '1,5',
      '1,6',
      '2,5',
      '2,6',
    ]);
  });

  test('takes a list as it is', () => {
    expect(jobOf({ params: { lr: [1, 2] } }).sweep?.params).toEqual({ lr: { choice: [1, 2] } });
  });

  test('gives a module its own seed, and a command both', () => {
    const module = parseConfig('trainstash.json', JSON.stringify({ jobs: { train: { module: 'a.ts' } } })).jobs.get(
      'train',
    )!;
    expect(withSeed({ seed: 3, lr: 1 }, module)).toEqual({ params: { lr: 1 }, seed: 3 });
    expect(withSeed({ seed: 3 }, jobOf({}))).toEqual({ params: { seed: 3 }, seed: 3 });
    expect(withSeed({ seed: 'x' }, module)).toEqual({ params: { seed: 'x' }, seed: undefined });
  });
});

test('values are reported once for each rung, also if a run jumps over one', () => {
  expect([1, 99, 100, 299, 300, 900].map((step) => bucketOf(step, asha))).toEqual([0, 0, 1, 1, 2, 3]);
  expect(pointsToReport([50, 100, 150, 299, 300, 2_700], [1, 2, 3, 4, 5, 6], 0, asha)).toEqual([
    [100, 2],
    [300, 5],
    [2_700, 6],
  ]);
  expect(pointsToReport([100, 301], [1, 2], 100, asha)).toEqual([[301, 2]]);
});

describe('trouble', () => {
  const plan = { sampler: 'optuna', params: {}, runs: 9 } as unknown as SweepPlan;
  const record = { number: 1, plan, seenFailures: 0 } as SweepRecord;
  const monitor = { metric: 'loss', mode: 'min' as const };
  const runOf = (status: Run['status'], trial: number, value: number | null): TrialRun => ({
    ...blankRun(
      {
        id: `run${trial}`,
        job: 'train',
        params: {},
        overrides: [],
        seed: 0,
        backend: '',
        branch: null,
        commit: null,
        dirty: false,
        code: null,
        codeLeftOut: [],
      },
      0,
    ),
    number: trial + 1,
    status,
    endedAt: trial,
    reason: status === 'failed' ? 'exit status 1' : '',
    metrics: {
      loss: { last: 'NaN', lastStep: 1, min: value, minStep: 1, max: value, maxStep: 1, count: 1, notFinite: 1 },
    },
    sweep: { id: 'a', number: 1, trial },
  });

  test('is three failures and no success, ten in a row, or only NaN', () => {
    const failed = [0, 1, 2].map((i) => runOf('failed', i, null));
    expect(troubleOf(record, failed.slice(1), monitor)).toBeNull();
    expect(troubleOf(record, failed, monitor)).toMatch(/^all of its first 3 runs failed, .* exit status 1\./);
    expect(troubleOf({ ...record, seenFailures: 1 }, failed, monitor)).toBeNull();
    const good = runOf('completed', 3, 0.5);
    expect(troubleOf(record, [...failed, good], monitor)).toBeNull();
    const more = Array.from({ length: 10 }, (_, i) => runOf('failed', 4 + i, null));
    expect(troubleOf(record, [...failed, good, ...more], monitor)).toMatch(/^its last 10 runs all failed/);
    // What was seen before a resume counts as failures only: successes do not make up for later ones.
    const goods = Array.from({ length: 20 }, (_, i) => runOf('completed', i, 0.5));
    const later = Array.from({ length: 10 }, (_, i) => runOf('failed', 20 + i, null));
    const seenFailures = failuresOf(record, goods, monitor).length;
    expect(troubleOf({ ...record, seenFailures }, [...goods, ...later], monitor)).toMatch(/^its last 10 runs/);
    expect(
      troubleOf(
        record,
        [0, 1, 2].map((i) => runOf('completed', i, null)),
        monitor,
      ),
    ).toContain('without a finite loss');
  });
});
