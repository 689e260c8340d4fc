import { describe, expect, test } from 'vitest';
import { diffMetrics, meanHeight, parting } from '../../daemon/diff/curves.ts';
import { diffLineage } from '../../daemon/diff/lineage.ts';
import { diffParams } from '../../daemon/diff/params.ts';
import type { Checkpoint, MetricSeries, Run } from '../../protocol/domain.ts';

describe('params', () => {
  test('only what differs, nested by its place, with what nobody gave by hand marked', () => {
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
  test('mean height is the area between two steps divided by their distance, whatever the rate', () => {
    // By hand: from 0 to 2 a triangle of 2, from 2 to 4 a rectangle of 4.
    const curve = { steps: [0, 2, 4], values: [0, 2, 2] };
    expect(meanHeight(curve, 0, 4)).toBe(6 / 4);
    expect(meanHeight(curve, 1, 3)).toBe((1.5 + 2) / 2);
    expect(meanHeight({ steps: [0, 1, 2, 3, 4], values: [0, 1, 2, 2, 2] }, 0, 4)).toBe(6 / 4);
    expect(meanHeight(curve, 0, 5)).toBeNull();
    expect(meanHeight({ steps: [0, 2], values: [1, Number.NaN] }, 0, 2)).toBeNull();
  });

  test('two part at the first common step that differs in any bit; steps of one alone do not count', () => {
    const a = { steps: [1, 2, 3, 4], values: [1, 2, 3, 4] };
    const b = { steps: [2, 4, 6], values: [2, 4 + Number.EPSILON * 4, 6] };
    expect(parting([a, b])).toEqual({ partsAt: 4, common: 2 });
    expect(parting([a, { steps: [1, 3], values: [1, 3] }])).toEqual({ partsAt: null, common: 2 });
    expect(
      parting([
        { steps: [1], values: [0] },
        { steps: [1], values: [-0] },
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
    expect(diffMetrics([[series('loss', [3, 1, 2])], [series('loss', [3, 2]), series('acc', [0.5])]])).toMatchObject([
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

describe('lineage', () => {
  const checkpoint = (id: string, run: string, step: number, parent: string | null) =>
    ({ id, run, step, parent }) as Checkpoint;
  const all = [
    checkpoint('a1', 'a', 10, null),
    checkpoint('a2', 'a', 20, 'a1'),
    checkpoint('a3', 'a', 30, 'a2'),
    checkpoint('b1', 'b', 25, 'a2'),
    checkpoint('c1', 'c', 5, null),
  ];
  const family = { checkpoint: async (id: string) => all.find((one) => one.id === id) };
  const side = (id: string, parent: Run['parent'] = null) => {
    const found = all.find((one) => one.id === id)!;
    return { run: { parent } as Run, checkpoint: found, step: found.step };
  };

  test('the newest checkpoint that both come from, and the steps since', async () => {
    expect(await diffLineage([side('a3'), side('b1')], family)).toEqual({
      ancestor: { checkpoint: 'a2', run: 'a', step: 20 },
      steps: [10, 5],
    });
    // One that the other comes from is the ancestor itself.
    expect(await diffLineage([side('a1'), side('a3')], family)).toMatchObject({
      ancestor: { checkpoint: 'a1' },
      steps: [0, 20],
    });
    expect(await diffLineage([side('a3'), side('c1')], family)).toEqual({ ancestor: null, steps: [30, 5] });
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
