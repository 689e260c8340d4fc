/** Computations of pages: the table's order and filter, smoothing. */

import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { betterOf, rowOf } from '../../../pages/run-row.ts';
import { toWireNumber } from '../../../protocol/numbers.ts';
import { blankRun } from '../../../protocol/records.ts';
import { columnsOf, filterOf, shownByDefault, sortedBy } from '../../../webview-ui/columns.ts';
import { dashboardSaid, diffPageSaid, type RunRow } from '../../../webview-ui/contract.ts';
import { smoothed } from '../../../webview-ui/shared/smoothing.ts';

function row(number: number, more: Partial<RunRow> = {}): RunRow {
  return {
    id: `r${number}`,
    number,
    name: `job #${number}`,
    label: '',
    branch: 'main',
    status: 'completed',
    live: false,
    resumable: false,
    draft: false,
    createdAt: number,
    step: 0,
    share: null,
    stepsPerEpoch: null,
    params: {},
    metrics: {},
    alarm: '',
    rehearsal: '',
    rollbacks: [],
    parent: null,
    job: 'job',
    sweep: null,
    tags: [],
    ...more,
  };
}
const loss = (best: number) => ({
  loss: { last: toWireNumber(best), best: { value: best, step: 1, word: 'lowest' as const } },
});

describe('the table of runs', () => {
  const rows = [
    row(1, { params: { lr: 0.1, same: 'x' }, metrics: loss(3) }),
    row(2, { params: { lr: 0.01, same: 'x' }, metrics: loss(1), status: 'failed', branch: 'idea' }),
    row(3, { params: { lr: 0.001, same: 'x', extra: true }, metrics: loss(Number.NaN) }),
    row(4, { params: { same: 'x' } }),
  ];
  const columns = columnsOf(rows);
  const names = (text: string) => rows.filter(filterOf(text)).map(({ number }) => number);

  test('shows metrics and the params that differ, those first', () => {
    expect(shownByDefault(columns, rows).slice(5)).toEqual(['metric:loss', 'param:lr', 'param:extra']);
    expect(columns.at(-1)!.key).toBe('param:same');
  });

  test('sorts numbers as numbers; rows without a number come last in both directions', () => {
    const by = (key: string, descending: boolean) =>
      sortedBy(rows, columns.find((column) => column.key === key)!, descending).map(({ number }) => number);
    expect(by('metric:loss', false)).toEqual([2, 1, 4, 3]);
    expect(by('metric:loss', true)).toEqual([1, 2, 4, 3]);
    expect(by('param:lr', false)).toEqual([3, 2, 1, 4]);
    expect(by('run', true)).toEqual([4, 3, 2, 1]);
  });

  test('is filtered by words and comparisons; an invalid filter matches nothing and breaks nothing', () => {
    expect(names('')).toEqual([1, 2, 3, 4]);
    expect(names('lr>0.005')).toEqual([1, 2]);
    expect(names('lr<=0.01 loss<2')).toEqual([2]);
    expect(names('status=failed')).toEqual([2]);
    expect(names('branch!=main')).toEqual([2]);
    expect(names('idea')).toEqual([2]);
    expect(names('#3')).toEqual([3]);
    expect(names('nothing=1')).toEqual([]);
    expect(names('constructor=1')).toEqual([]);
    expect(names('[(')).toEqual([]);
  });

  test('has nested params with dots, lists as their text, and the best of a metric as the run says', () => {
    const facts = {
      id: 'a',
      job: 'j',
      overrides: [],
      seed: 0,
      backend: '',
      branch: null,
      commit: null,
      dirty: false,
      code: null,
      codeLeftOut: [],
    };
    const summary = { last: 2, lastStep: 9, min: 1, minStep: 3, max: 5, maxStep: 7, count: 4, notFinite: 0 };
    const run = {
      ...blankRun({ ...facts, params: { net: { depth: 2, sizes: [1, 2] }, lr: null } }, 0),
      monitor: { metric: 'accuracy', mode: 'max' as const },
      metrics: { accuracy: summary, loss: summary },
    };
    expect(rowOf(run)).toMatchObject({
      params: { 'net.depth': 2, 'net.sizes': '[1,2]', lr: null },
      metrics: {
        accuracy: { best: { value: 5, step: 7, word: 'best' } },
        loss: { best: { value: 1, step: 3, word: 'lowest' } },
      },
    });
  });
});

test('smoothing starts at the first value and not at 0; NaN and infinity are gaps without an effect on later values', () => {
  expect(smoothed([4, 4, 4], 0.9)).toEqual([expect.closeTo(4, 12), expect.closeTo(4, 12), expect.closeTo(4, 12)]);
  // By hand: (0.5·0.5·2 + 0.5·4) / (0.75).
  expect(smoothed([2, Number.NaN, 4, Number.POSITIVE_INFINITY, 4], 0.5)).toEqual([
    2,
    Number.NaN,
    expect.closeTo(2.5 / 0.75, 12),
    Number.POSITIVE_INFINITY,
    expect.closeTo(3.25 / 0.875, 12),
  ]);
});

test('what a page says is taken only in the shape that it may have', () => {
  const bad = [
    null,
    'ready',
    {},
    { say: 'eval', code: '1' },
    { say: 'act', action: 'delete', runs: ['a'] },
    { say: 'act', action: 'diff', runs: 'a' },
  ];
  for (const message of bad) expect(v.safeParse(dashboardSaid, message).success).toBe(false);
  expect(
    v.safeParse(dashboardSaid, { say: 'curves', runs: ['a'], names: ['loss'], from: null, to: null, buckets: 1e9 })
      .success,
  ).toBe(false);
  expect(v.safeParse(diffPageSaid, { say: 'openFile', side: '1', path: '/etc/passwd' }).success).toBe(false);
  expect(v.safeParse(diffPageSaid, { say: 'axis', axis: 'step' }).success).toBe(true);
});

test('the better direction of a metric follows from its name, and is not guessed', () => {
  const of = (...names: string[]) => names.map(betterOf);
  expect(of('loss', 'val_loss', 'train/err', 'evalPerplexity', 'RMSE')).toEqual(Array(5).fill('min'));
  expect(of('accuracy', 'val_acc', 'eval/f1', 'top5', 'meanIoU', 'mAP')).toEqual(Array(6).fill('max'));
  expect(of('learning_rate', 'lr', 'grad_norm', 'gpu_memory', 'epoch', 'glossary')).toEqual(Array(6).fill(null));
});
