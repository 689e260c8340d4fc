/** Groups of runs with their mean and band, and runs on axes of params and metrics. */
import { expect, test } from 'vitest';
import { tagsOf } from '../../../pages/run-row.ts';
import type { RunRow } from '../../../webview-ui/contract.ts';
import { axisKeys, axisOf } from '../../../webview-ui/dashboard/axes.ts';
import { bandOf, groupingsOf, groupsOf, labelOf } from '../../../webview-ui/shared/groups.ts';

function row(
  id: string,
  params: RunRow['params'],
  metrics: Record<string, number> = {},
  facts: Partial<RunRow> = {},
): RunRow {
  const shown = Object.entries(metrics).map(([name, value]) => [
    name,
    { last: value, best: name === 'val_loss' ? { value, step: 1, word: 'best' as const } : null },
  ]);
  return { id, params, tags: [], metrics: Object.fromEntries(shown), ...facts } as unknown as RunRow;
}

test('runs fall into groups by params that differ, and those without the param stay together', () => {
  const rows = [
    row('a', { lr: 0.1, seed: 1, job: 'x' }),
    row('b', { lr: 0.1, seed: 2, job: 'x' }),
    row('c', { lr: 1e-3, seed: 1 }),
  ];
  expect(groupingsOf(rows)).toEqual(['job', 'lr', 'seed']);
  expect(groupsOf(rows, 'lr').map(labelOf)).toEqual(['lr=0.001 (1 run)', 'lr=0.1 (2 runs)']);
  expect(groupsOf(rows, 'job').map(({ label, runs }) => [label, runs])).toEqual([
    ['job=none', ['c']],
    ['job=x', ['a', 'b']],
  ]);
  expect(groupsOf(rows, 'constructor').map(({ label }) => label)).toEqual(['constructor=none']);
  expect(groupingsOf([])).toEqual([]);
});

test('runs fall into groups by what their notes are tagged with, by sweep, job and branch', () => {
  expect(tagsOf('#Baseline: warm-up of 5 #long, C#, #2')).toEqual(['2', 'baseline', 'long']);
  expect(tagsOf('no tags #')).toEqual([]);
  const rows = [
    row('a', {}, {}, { tags: ['long', 'wide'], sweep: 'sweep 1 of x', job: 'x' }),
    row('b', {}, {}, { tags: ['long', 'wide'], sweep: null, job: 'x' }),
    row('c', { job: 'of its own' }, {}, { tags: [], sweep: 'sweep 2 of x', job: 'x' }),
  ];
  expect(groupingsOf(rows)).toEqual([':sweep', ':tags', 'job']);
  expect(groupsOf(rows, ':tags').map(labelOf)).toEqual(['#long #wide (2 runs)', 'no tags (1 run)']);
  expect(groupsOf(rows, ':sweep').map(labelOf)).toEqual([
    'no sweep (1 run)',
    'sweep 1 of x (1 run)',
    'sweep 2 of x (1 run)',
  ]);
});

test('values that only look alike are different groups and places', () => {
  const values = [1, '1', true, 'true', null, 'null', 'none', '"1"'];
  const rows = values.map((value, i) => row(String(i), { mixed: value }));
  const groups = groupsOf([...rows, row('without', {})], 'mixed');
  expect(groups).toHaveLength(values.length + 1);
  expect(new Set(groups.map(({ label }) => label)).size).toBe(values.length + 1);
  const places = axisOf(rows, 'param:mixed')!.places.filter((place) => place !== null);
  expect(new Set(places).size).toBe(values.length - 1);
});

test('a mean counts each run where it has a value, and its band is one standard deviation', () => {
  const { xs, mean, low, high } = bandOf([
    { xs: [0, 10], ys: [0, 10] },
    { xs: [0, 5, 10, 20], ys: [2, 7, 12, 22] },
  ]);
  expect([...xs]).toEqual([0, 5, 10, 20]);
  // Of the first one the value at 5 lies on its line, and at 20 it has none.
  expect([...mean]).toEqual([1, 6, 11, 22]);
  expect(high[1]! - mean[1]!).toBeCloseTo(Math.SQRT2);
  expect([low[3], high[3]]).toEqual([22, 22]);
});

test('NaN, infinity, nothing and a single point do not spoil a mean', () => {
  expect(bandOf([]).xs).toHaveLength(0);
  expect(bandOf([{ xs: [], ys: [] }]).xs).toHaveLength(0);
  const { xs, mean } = bandOf([
    { xs: [1, 2, 3], ys: [1, Number.NaN, 3] },
    { xs: [2], ys: [8] },
    { xs: [1], ys: [Number.POSITIVE_INFINITY] },
  ]);
  expect([...xs]).toEqual([1, 2, 3]);
  expect([...mean]).toEqual([1, 8, 3]);
  const long = Array.from({ length: 100_000 }, (_, i) => i);
  expect(bandOf([{ xs: long, ys: long }]).xs.length).toBeLessThanOrEqual(502);
});

test('axes have params that differ first, then the judged metric; each run has its place, or none', () => {
  const rows = [
    row('a', { lr: 1e-4, net: 'b', same: 1 }, { loss: 3, val_loss: 0.5 }),
    row('b', { lr: 1e-2, net: 'a', same: 1 }, { val_loss: 0.25 }),
    row('c', { lr: 1, same: 1 }, { val_loss: Number.NaN }),
  ];
  expect(axisKeys(rows)).toEqual(['param:lr', 'param:net', 'metric:val_loss', 'metric:loss']);
  // Four powers of ten: by logarithms.
  expect(axisOf(rows, 'param:lr')!.places.map((one) => one!.toFixed(2))).toEqual(['0.00', '0.50', '1.00']);
  expect(axisOf(rows, 'param:net')).toMatchObject({ ends: ['a', 'b'], places: [1, 0, null] });
  expect(axisOf(rows, 'metric:val_loss')).toMatchObject({ title: 'val_loss (best)', places: [1, 0, null] });
  expect(axisOf(rows, 'metric:loss')).toMatchObject({ title: 'loss (last)', places: [0.5, null, null] });
  expect(axisOf(rows, 'metric:nothing')).toBeNull();
  expect(axisOf(rows, 'param:constructor')).toBeNull();
});
