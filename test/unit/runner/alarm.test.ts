/** Conclusions from a command's metrics about its checkpoints and its health. */
import { expect, test } from 'vitest';
import { bestOf, keptBecause, lastOf } from '../../../daemon/store/maintenance/retention.ts';
import type { Checkpoint } from '../../../protocol/domain.ts';
import type { WireNumber } from '../../../protocol/numbers.ts';
import { Alarm } from '../../../runner/alarm.ts';
import { NO_FACTS } from '../../../runner/content-facts.ts';
import { Labels } from '../../../runner/labels.ts';
import { Progress } from '../../../runner/progress.ts';
import { factsOfName } from '../../../session/names.ts';
import { makeLaunch } from '../../support/trainer.ts';

test('an evaluation of earlier steps is not a metric of the current checkpoint', () => {
  const progress = new Progress(0);
  expect(progress.record(1, 30, 3, { loss: 0.1 })).toEqual({ loss: 0.1 });
  expect(progress.record(2, 30, null, { eval: 5 })).toEqual({ eval: 5 });
  expect(progress.record(3, 20, 2, { eval: Number.NaN })).toEqual({});
  expect(progress.record(4, 10, 1, { eval: 7 })).toEqual({});
  expect(progress.before(9)).toMatchObject({ step: 30, epoch: 3, metrics: { loss: 0.1, eval: 5 } });
});

test('metrics that are read later than others count, as those of event files; so do all that go back together', () => {
  const progress = new Progress(0);
  progress.record(1, 100, null, { loss: 1 });
  expect(progress.record(2, 90, null, { val: 2 })).toEqual({ val: 2 });
  expect(progress.record(3, 95, null, { val: 3 })).toEqual({ val: 3 });
  expect(progress.record(4, 40, null, { loss: 4, val: 5 })).toEqual({ loss: 4, val: 5 });
  expect(progress.record(5, 41, null, { loss: 6 })).toEqual({ loss: 6 });
});

test('a file that names its step has the metrics of that step, however soon the next one was told', () => {
  const progress = new Progress(0);
  progress.record(1_000, 3, 0, { loss: 0.3 });
  progress.record(1_010, 4, 0, { loss: Number.NaN });
  const labels = new Labels(progress);
  const content = NO_FACTS;
  const metricsOf = (path: string) =>
    labels.of({ key: path, series: 'model_#.pt', time: 1_005, content, name: factsOfName(path) }, true).metrics;
  expect(metricsOf('model_step_3.pt')).toEqual({ loss: 0.3 });
  expect(metricsOf('model_step_7.pt')).toEqual({ loss: Number.NaN });
});

test('a command is asked to end once if its job says so, with the reason and what is kept', () => {
  const launch = makeLaunch({ onNaN: 'pause', monitor: { metric: 'val', mode: 'max' } });
  const alarm = new Alarm(launch);
  expect(alarm.look(1, { loss: 1 })).toBeNull();
  alarm.recordCheckpoint({ step: 1_000, metrics: { loss: 1 } });
  const said = alarm.look(1_200, { loss: Number.POSITIVE_INFINITY })!;
  expect(said).toMatchObject({ code: 'nan', level: 'error', ends: true });
  expect(said.text).toMatch(/^loss was ∞ at step 1200\. .*diverged.*onNaN.*kept/);
  // Saved while ending.
  alarm.recordCheckpoint({ step: 1_200, metrics: { loss: 'Infinity' } });
  expect(alarm.look(1_201, { loss: Number.NaN, val: Number.NaN })).toMatchObject({ ends: false });
  expect(alarm.reason()).toBe('loss was ∞ at step 1200; its newest good checkpoint is at step 1,000');
});

test('a command whose job does not say so keeps running, and is reported once', () => {
  const alarm = new Alarm(makeLaunch());
  expect(alarm.look(1, { loss: Number.NaN })).toMatchObject({ ends: false });
  expect(alarm.look(2, { loss: Number.NaN })).toBeNull();
  expect(alarm.look(3, { other: Number.NaN })).toBeNull();
  expect(alarm.reason()).toBe('');
});

test('a missing good checkpoint is reported', () => {
  const alarm = new Alarm(makeLaunch({ onSpike: 'pause' }));
  for (let step = 0; step < 60; step++) alarm.look(step, { loss: 1 + (step % 3) * 0.1 });
  expect(alarm.look(60, { loss: 50 })).toMatchObject({ code: 'spike', ends: true });
  expect(alarm.reason()).toContain('loss jumped to 50 at step 60');
  expect(alarm.reason()).toContain('no good checkpoint was saved before');
});

test('checkpoints of a diverged state never replace a good one, and are not the best', () => {
  const checkpoint = (step: number, metrics: Record<string, WireNumber>) =>
    ({
      id: `c${step}`,
      step,
      createdAt: step,
      reasons: [],
      tags: [],
      metrics,
      grade: 'partial',
    }) as never as Checkpoint;
  const monitor = { metric: 'acc', mode: 'max' as const };
  const list = [
    checkpoint(10, { loss: 3, acc: 0.1 }),
    checkpoint(20, { loss: 2, acc: 0.2 }),
    checkpoint(30, { loss: 1, acc: 0.3 }),
    checkpoint(40, { loss: 'NaN', acc: 0.9 }),
    checkpoint(50, { loss: 'NaN', acc: 'Infinity' }),
  ];
  const kept = keptBecause(list, { last: 2, every: null, monitor }, new Map());
  expect([...kept].map(([id, reasons]) => [id, reasons.map(({ text }) => text)])).toEqual([
    ['c10', []],
    ['c20', ['one of the last 2']],
    ['c30', ['best acc', 'one of the last 2']],
    ['c40', ['one of the last 2 (diverged)']],
    ['c50', ['newest of its run (diverged)']],
  ]);
  expect(bestOf(list, monitor)?.id).toBe('c30');
  expect(lastOf(list, monitor)?.id).toBe('c30');
  expect(lastOf(list.slice(3), monitor)?.id).toBe('c50');
});
