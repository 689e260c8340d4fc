/** Tests of the number of runs of a sweep that train at once, or begin together. */
import { describe, expect, test } from 'vitest';
import { hasRoom, mostAtOnce, sizeOfNext } from '../../../../daemon/sweeps/pace.ts';
import type { TrialRun } from '../../../../daemon/sweeps/trials.ts';
import type { SweepRecord } from '../../../../protocol/sweep.ts';

type Facts = Pick<SweepRecord, 'plan' | 'gpu' | 'engine'>;

const facts = (plan: object = {}, engine?: string, gpu?: SweepRecord['gpu']): Facts => ({
  plan: { sampler: 'grid', ...plan } as SweepRecord['plan'],
  ...(engine === undefined ? {} : { engine }),
  ...(gpu === undefined ? {} : { gpu }),
});
const active = (...statuses: string[]) =>
  statuses.map((status) => ({ status, sweep: {}, trashedAt: null, notices: [] }) as unknown as TrialRun);

describe('here', () => {
  test('one run is queued at a time, and as many train as have devices', () => {
    expect(hasRoom(facts(), active('running', 'running'), 1)).toBe(true);
    expect(hasRoom(facts(), active('running', 'queued'), 1)).toBe(false);
    expect(sizeOfNext(facts(), active(), 30, 1)).toBe(1);
    expect(mostAtOnce(facts({}, undefined, 'shared'), 3)).toBe(3);
    expect(hasRoom(facts({ parallel: 2 }), active('running', 'running'), 1)).toBe(false);
  });
});

describe('on an engine', () => {
  test('all runs go at once, in arrays that a cluster takes, whether some wait or not', () => {
    const sweep = facts({}, 'cluster');
    expect(sizeOfNext(sweep, active(), 7, 1)).toBe(7);
    expect(sizeOfNext(sweep, active('queued', 'queued'), 5, 1)).toBe(5);
    expect(sizeOfNext(sweep, active(), 1_000, 1)).toBe(100);
    expect(sizeOfNext(sweep, active(...Array<string>(100).fill('queued')), 900, 1)).toBe(100);
  });

  test('a large sweep sends no array of one run each time that one has ended', () => {
    const sweep = facts({}, 'cluster');
    expect(sizeOfNext(sweep, active(...Array<string>(199).fill('running')), 800, 1)).toBe(0);
    expect(sizeOfNext(sweep, active(...Array<string>(150).fill('running')), 800, 1)).toBe(50);
    expect(sizeOfNext(sweep, active(...Array<string>(199).fill('running')), 1, 1)).toBe(1);
  });

  test('Optuna sees results before it draws all', () => {
    const sweep = facts({ sampler: 'optuna' }, 'cluster');
    expect(sizeOfNext(sweep, active(), 30, 1)).toBe(4);
    expect(sizeOfNext(sweep, active('queued', 'running', 'running'), 26, 1)).toBe(1);
    expect(sizeOfNext(facts({ sampler: 'optuna', parallel: 16 }, 'cluster'), active(), 30, 1)).toBe(16);
  });
});
