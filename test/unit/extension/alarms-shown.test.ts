/** Display of non-finite values: never as null, never as if all were well. */
import { describe, expect, test } from 'vitest';
import { runDetails, runTable } from '../../../cli/views.ts';
import { curveSvg } from '../../../extension/core/sparkline.ts';
import { lookOfCheckpoint, lookOfRun, statusOf } from '../../../extension/core/text.ts';
import { rowOf } from '../../../pages/run-row.ts';
import { inOrderOfPlaces } from '../../../protocol/curves.ts';
import { differs } from '../../../protocol/diff.ts';
import type { Checkpoint, MetricSummary, Run } from '../../../protocol/domain.ts';
import type { WireNumber } from '../../../protocol/numbers.ts';
import { blankRun } from '../../../protocol/records.ts';
import { bestText } from '../../../protocol/words.ts';
import { filterOf } from '../../../webview-ui/columns.ts';

const summary = (last: WireNumber, more: Partial<MetricSummary> = {}): MetricSummary => ({
  last,
  lastStep: 9,
  min: 0.1541,
  minStep: 3,
  max: 7,
  maxStep: 1,
  count: 9,
  notFinite: typeof last === 'string' ? 1 : 0,
  ...more,
});
const none = { min: null, minStep: null, max: null, maxStep: null };
const facts = {
  id: 'a',
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
};
const run = (metrics: Run['metrics'], more: Partial<Run> = {}): Run => ({
  ...blankRun(facts, 0),
  name: 'train #1',
  status: 'completed',
  step: 9,
  metrics,
  ...more,
});
const watching = { monitor: { metric: 'val', mode: 'min' as const } };

describe('a run', () => {
  test.each([
    [{ loss: summary(0.2) }, {}, 'last loss 0.2'],
    [{ loss: summary('NaN') }, {}, 'loss NaN'],
    [{ loss: summary('-Infinity', none) }, {}, 'loss -∞'],
    [{ loss: summary(0.2), val: summary(0.3) }, watching, 'val 0.1541'],
    [{ loss: summary(0.2), val: summary('NaN') }, watching, 'val 0.1541, now NaN'],
    [{ loss: summary('Infinity'), val: summary(0.3) }, watching, 'val 0.1541, loss ∞'],
    [{ val: summary('NaN', none) }, watching, 'val NaN'],
  ])('%# tells its best, and what is not finite now', (metrics, more, text) => {
    expect(bestText(run(metrics, more))).toBe(text);
  });

  test('with a NaN loss has a warning in the tree and the status bar, and no tick', () => {
    const bad = { loss: summary('NaN') };
    expect(lookOfRun(run(bad), 0)).toMatchObject({ icon: 'warning', color: 'charts.orange' });
    expect(lookOfRun(run(bad), 0).spoken).toContain('loss is NaN');
    expect(lookOfRun(run({ loss: summary(1) }), 0)).toMatchObject({ icon: 'pass' });
    // It ignores other metrics; a worse outcome keeps its mark.
    expect(lookOfRun(run({ loss: summary(1), grad_norm: summary('NaN') }), 0).icon).toBe('pass');
    expect(lookOfRun(run(bad, { status: 'failed' }), 0).icon).toBe('error');
    const live = statusOf([run(bad, { status: 'running' })], new Set(), 0)!;
    expect(live).toMatchObject({ text: '$(warning) train #1 9 · loss is NaN', level: 'warning' });
  });

  test('is marked on the command line, within 80 columns', () => {
    const bad = run({ loss: summary('NaN'), val: summary('Infinity', none) }, watching);
    const lines = [...runTable([bad], 80), ...runDetails(bad, [], [], 80)];
    expect(lines[1]).toContain('! loss NaN');
    expect(lines.join('\n')).toContain('NaN  (lowest 0.1541, highest 7; 1 of 9 not finite)');
    expect(lines.join('\n')).toContain('∞  (1 of 9 not finite)');
    expect(lines.join('\n')).not.toContain('null');
    expect(lines.every((line) => [...line].length <= 80)).toBe(true);
  });

  test('has in the table of the dashboard its best and its alarm, and passes the filters that it should', () => {
    const bad = rowOf(run({ loss: summary('NaN'), val: summary('Infinity', none) }));
    expect(bad.alarm).toBe('loss is NaN');
    // The form in which it reaches the page.
    const row = JSON.parse(JSON.stringify(bad));
    expect(row.metrics).toEqual({
      loss: { last: 'NaN', best: { value: 0.1541, step: 3, word: 'lowest' } },
      val: { last: 'Infinity', best: null },
    });
    const broken = JSON.parse(JSON.stringify(rowOf(run({ x: summary('NaN'), y: summary('-Infinity') }))));
    const passes = (text: string) => filterOf(text)(broken);
    expect(
      ['x=nan', 'x>=NaN', 'x!=1', 'y<0', 'y=-inf', 'y<=-Infinity', 'y!=∞'].filter((text) => !passes(text)),
    ).toEqual([]);
    expect(['x>0', 'x<0', 'x=1', 'x!=nan', 'y>0', 'y>-inf', 'y=∞', 'y=nan'].filter(passes)).toEqual([]);
  });
});

test('a checkpoint of a diverged state has a warning', () => {
  const checkpoint = { grade: 'complete', reasons: [], tags: [], missing: [], bytes: 1, metrics: { loss: 'NaN' } };
  const look = lookOfCheckpoint(checkpoint as never as Checkpoint, run({}), 0);
  expect(look).toMatchObject({ icon: 'warning', description: expect.stringMatching(/^diverged · loss NaN/) });
});

test('a small curve breaks where values are not finite, and has a mark there', () => {
  const svg = curveSvg([3, 2, 'NaN', 1, 'Infinity', '-0', '-Infinity'])!;
  expect(svg.match(/×/g)).toHaveLength(3);
  expect(svg.match(/M/g)).toHaveLength(3);
  expect(svg).not.toMatch(/NaN|Infinity/);
  expect(curveSvg(['NaN', 'NaN'])).toContain('×');
  expect(curveSvg([1])).toBeNull();
});

test('by time a curve is in the order in which it was told', () => {
  const xs = [1, 2, 3];
  expect(inOrderOfPlaces(xs, xs).places).toBe(xs);
  expect(inOrderOfPlaces(Float64Array.of(30, 10, 20), [3, 1, 2])).toEqual({ places: [10, 20, 30], values: [1, 2, 3] });
});

test('curves of different lengths differ, even if they are equal where both have points', () => {
  const side = { points: 3, lastAt: 3, last: 1, min: 1, max: 1, area: null, mean: null };
  const metric = { name: 'loss', sides: [side, side], partsAt: null, common: 3 };
  expect(differs(metric)).toBe(false);
  expect(differs({ ...metric, sides: [side, { ...side, points: 9 }] })).toBe(true);
  expect(differs({ ...metric, partsAt: 2 })).toBe(true);
});
