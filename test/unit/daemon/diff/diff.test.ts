import { describe, expect, test } from 'vitest';
import { areaUnder, diffMetrics, firstDifference } from '../../../../daemon/diff/curves.ts';
import { diffLineage } from '../../../../daemon/diff/lineage.ts';
import { diffParams } from '../../../../daemon/diff/params.ts';
import type { Checkpoint, MetricSeries, Run, Session } from '../../../../protocol/domain.ts';

describe('params', () => {
  test('only differences, with nested names, and with defaults marked', () => {
    const left = { params: { lr: 0.1, net: { depth: 3, wide: true }, sizes: [1, 2], same: 'x' }, overrides: ['lr'] };
    const right = {
      params: { lr: 0.2, net: { depth: 4, wide: true }, sizes: [1, 2], same: 'x', more: null },
      overrides: ['net'],
    };
    expect(diffParams([left, right])).toEqual([
      {
        name: 'lr',
        values: [
          { value: 0.1, isDefault: false },
          { value: 0.2, isDefault: true },
        ],
      },
      {
        name: 'net.depth',
        values: [
          { value: 3, isDefault: true },
          { value: 4, isDefault: false },
        ],
      },
      { name: 'more', values: [null, { value: null, isDefault: true }] },
    ]);
  });

  test('a number and a text that look alike are not the same', () => {
    const sides = [1, '1'].map((seed) => ({ params: { seed }, overrides: [] }));
    expect(diffParams(sides)).toHaveLength(1);
  });
});

describe('curves', () => {
  test('the area between two places, and it divided by their distance, whatever the rate', () => {
    // By hand: from 0 to 2 a triangle of 2, from 2 to 4 a rectangle of 4.
    const curve = { positions: [0, 2, 4], values: [0, 2, 2] };
    expect(areaUnder(curve, 0, 4)).toEqual({ area: 6, mean: 6 / 4 });
    expect(areaUnder(curve, 1, 3)).toEqual({ area: 3.5, mean: 3.5 / 2 });
    expect(areaUnder({ positions: [0, 1, 2, 3, 4], values: [0, 1, 2, 2, 2] }, 0, 4)).toEqual({ area: 6, mean: 6 / 4 });
    expect(areaUnder(curve, 3, 3)).toEqual({ area: 0, mean: 2 });
    expect(areaUnder(curve, 0, 5)).toBeNull();
    expect(areaUnder({ positions: [0, 2], values: [1, Number.NaN] }, 0, 2)).toBeNull();
  });

  test('two curves differ from the first common step that differs in any bit; steps of one side only do not count', () => {
    const a = { positions: [1, 2, 3, 4], values: [1, 2, 3, 4] };
    const b = { positions: [2, 4, 6], values: [2, 4 + Number.EPSILON * 4, 6] };
    expect(firstDifference([a, b])).toEqual({ partsAt: 4, common: 2 });
    expect(firstDifference([a, { positions: [1, 3], values: [1, 3] }])).toEqual({ partsAt: null, common: 2 });
    expect(
      firstDifference([
        { positions: [1], values: [0] },
        { positions: [1], values: [-0] },
      ]),
    ).toEqual({ partsAt: 1, common: 1 });
  });

  test('a metric that one side lacks is shown with what the other has', () => {
    const series = (name: string, values: number[]): MetricSeries => ({
      name,
      steps: values.map((_, i) => i + 1),
      values,
      times: values.map(() => 0),
      total: values.length,
    });
    const sides = [[series('loss', [3, 1, 2])], [series('loss', [3, 2]), series('acc', [0.5])]].map((one) => ({
      series: one,
      stepsPerEpoch: null,
    }));
    expect(diffMetrics(sides, 'step')).toMatchObject([
      {
        name: 'loss',
        sides: [
          { last: 2, min: 1, max: 3, mean: 2 },
          { last: 2, min: 2, mean: 2.5 },
        ],
        partsAt: 2,
        common: 2,
      },
      { name: 'acc', sides: [{ last: null, points: 0, mean: null }, { last: 0.5 }], partsAt: null, common: 0 },
    ]);
  });
});

describe('curves of runs whose steps mean other things', () => {
  const series = (steps: number[], values: number[], times: number[]): MetricSeries[] => [
    { name: 'loss', steps, values, times, total: steps.length },
  ];
  // Batches of half the size: twice the steps per epoch, and each step takes 0.6 of the time.
  const sides = [
    { series: series([10, 20, 30], [4, 2, 1], [10, 20, 30]), stepsPerEpoch: 10 },
    { series: series([20, 40, 60], [4, 3, 1], [12, 24, 36]), stepsPerEpoch: 20 },
  ];

  test('by epochs they meet at each, and part where their values do', () => {
    expect(diffMetrics(sides, 'epoch')).toMatchObject([
      {
        common: 3,
        partsAt: 2,
        sides: [
          { lastAt: 3, area: 3 + 1.5 },
          { lastAt: 3, area: 3.5 + 2 },
        ],
      },
    ]);
  });

  test('by steps and by time only what both cover is compared', () => {
    expect(diffMetrics(sides, 'step')).toMatchObject([
      // From 20 to 30: 2 to 1, and 4 to 3.5.
      { common: 1, partsAt: 20, sides: [{ mean: 1.5 }, { mean: 3.75 }] },
    ]);
    const [loss] = diffMetrics(sides, 'time');
    expect(loss).toMatchObject({ common: 0, partsAt: null });
    // From 12 to 30 seconds, by hand: trapezoids of 3.6 → 2 over 8 and 2 → 1 over 10; 4 → 3 over 12 and 3 → 2 over 6.
    expect(loss!.sides[0]!.area).toBeCloseTo(22.4 + 15, 9);
    expect(loss!.sides[1]!.area).toBeCloseTo(42 + 15, 9);
  });

  test('where nothing says how long an epoch is there is no curve by epochs', () => {
    const unknown = sides.map((side) => ({ ...side, stepsPerEpoch: null }));
    expect(diffMetrics(unknown, 'epoch')).toMatchObject([{ common: 0, sides: [{ points: 0 }, { points: 0 }] }]);
  });
});

describe('lineage', () => {
  const checkpoint = (id: string, run: string, step: number, parent: string | null, session = run) =>
    ({ id, run, step, parent, session, createdAt: step }) as Checkpoint;
  const all = [
    checkpoint('a1', 'a', 10, null),
    checkpoint('a2', 'a', 20, 'a1'),
    checkpoint('a3', 'a', 30, 'a2'),
    checkpoint('b1', 'b', 25, 'a2'),
    checkpoint('c1', 'c', 5, null),
    // e2 to e4 were pruned, and so was f1, the first of the session that continued from e1.
    checkpoint('e1', 'e', 10, null),
    checkpoint('e5', 'e', 50, 'e4'),
    checkpoint('f2', 'e', 40, 'f1', 'f'),
  ];
  const sessions = [{ id: 'f', resumedFrom: { checkpoint: 'e1', step: 10 } } as Session];
  const family = {
    checkpoint: async (id: string) => all.find((one) => one.id === id),
    checkpoints: async (run: string) => all.filter((one) => one.run === run),
    session: async (id: string) => sessions.find((one) => one.id === id),
  };
  const side = (id: string, parent: Run['parent'] = null) => {
    const found = all.find((one) => one.id === id)!;
    return { run: { parent } as Run, checkpoint: found, step: found.step };
  };

  test('the newest checkpoint that both come from, and the steps since', async () => {
    expect(await diffLineage([side('a3'), side('b1')], family)).toEqual({
      ancestor: { checkpoint: 'a2', run: 'a', step: 20 },
      steps: [10, 5],
    });
    // A side that the other descends from is the ancestor itself.
    expect(await diffLineage([side('a1'), side('a3')], family)).toMatchObject({
      ancestor: { checkpoint: 'a1' },
      steps: [0, 20],
    });
    expect(await diffLineage([side('a3'), side('c1')], family)).toEqual({ ancestor: null, steps: [30, 5] });
  });

  test('pruned checkpoints in between do not hide where runs have come from', async () => {
    expect(await diffLineage([side('e5'), side('f2')], family)).toEqual({
      ancestor: { checkpoint: 'e1', run: 'e', step: 10 },
      steps: [40, 30],
    });
  });

  test('a fork whose own first checkpoints are gone still knows its origin', async () => {
    const fork = {
      run: { parent: { run: 'a', checkpoint: 'a2', step: 20 } } as Run,
      checkpoint: checkpoint('d9', 'd', 90, 'd8'),
      step: 90,
    };
    expect(await diffLineage([side('a3'), fork], family)).toMatchObject({
      ancestor: { checkpoint: 'a2' },
      steps: [10, 70],
    });
  });
});
