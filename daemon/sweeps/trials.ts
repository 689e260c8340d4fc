/** States of a sweep's runs, and what they add up to. Pure. */
import type { Monitor, Run } from '../../protocol/domain.ts';
import { isCrash, LIVE_STATUSES } from '../../protocol/status.ts';
import {
  isBetter,
  objectiveOf,
  type RunSweep,
  type SweepPlan,
  type SweepRecord,
  type SweepSummary,
} from '../../protocol/sweep.ts';
import { counted, integer, metric } from '../../protocol/words.ts';

/** A run that belongs to a sweep. */
export type TrialRun = Run & { sweep: RunSweep };

export type TrialState = 'queued' | 'live' | 'completed' | 'pruned' | 'held' | 'failed' | 'other';

/** Number of failures, without a success, after which a sweep asks for a look. */
const TOO_MANY_FAILURES = 3;
/** Number of failures in a row after which it does so although others have succeeded. */
const TOO_MANY_IN_A_ROW = 10;

export function isTrial(run: Run): run is TrialRun {
  return run.sweep !== undefined;
}

export function stateOf({ status, sweep, trashedAt, notices }: TrialRun): TrialState {
  if (status === 'queued') return 'queued';
  if (LIVE_STATUSES.includes(status)) return 'live';
  if (trashedAt !== null) return 'other';
  if (status === 'completed') return 'completed';
  if (isCrash(status)) return 'failed';
  if (sweep.mark) return sweep.mark;
  // A run that has reached the steps or hours of its job has done all that it was to do.
  return status === 'paused' && notices.some(({ code }) => code === 'limit') ? 'completed' : 'other';
}

/** Steps at which a rule may end a run early. Between them values need not be reported. */
export function bucketOf(step: number, pruner: NonNullable<SweepPlan['pruner']>): number {
  if (step < pruner.minSteps) return 0;
  if (pruner.kind === 'median') return Math.floor(step / pruner.minSteps);
  // A tiny bit more, since the logarithm of a power may be just below its exponent.
  return 1 + Math.floor(Math.log(step / pruner.minSteps) / Math.log(pruner.reduction) + 1e-9);
}

/** Picks the first value of each bucket. `from`: the last step that was reported. */
export function pointsToReport(
  steps: readonly number[],
  values: readonly number[],
  from: number,
  pruner: NonNullable<SweepPlan['pruner']>,
): [step: number, value: number][] {
  let bucket = bucketOf(from, pruner);
  return steps.flatMap((step, i): [number, number][] => {
    if (step <= from || bucketOf(step, pruner) <= bucket) return [];
    bucket = bucketOf(step, pruner);
    return [[step, values[i]!]];
  });
}

/** Lists the runs that failed, or that have ended without a value that Optuna could judge. */
export function failuresOf({ plan }: SweepRecord, runs: readonly TrialRun[], monitor: Monitor | null): TrialRun[] {
  const needsMetric = plan.sampler === 'optuna';
  return runs.filter((run) => {
    const state = stateOf(run);
    return state === 'failed' || (state === 'completed' && needsMetric && objectiveOf(run, monitor) === null);
  });
}

/** Says why a sweep cannot go on like this; null: it can. */
export function troubleOf(record: SweepRecord, runs: readonly TrialRun[], monitor: Monitor | null): string | null {
  const bad = failuresOf(record, runs, monitor);
  if (bad.length - record.seenFailures < TOO_MANY_FAILURES) return null;
  const byEnd = [...bad].sort((a, b) => (b.endedAt ?? 0) - (a.endedAt ?? 0));
  const good = runs.filter((run) => stateOf(run) === 'pruned' || (stateOf(run) === 'completed' && !bad.includes(run)));
  const newestGood = Math.max(0, ...good.map(({ endedAt }) => endedAt ?? 0));
  const inARow = byEnd.filter(({ endedAt }) => (endedAt ?? 0) > newestGood).length;
  // A corner of the space may fail; that nothing else does any more is no corner.
  const isTrouble = good.length === 0 || Math.min(inARow, bad.length - record.seenFailures) >= TOO_MANY_IN_A_ROW;
  if (!isTrouble) return null;
  const which =
    good.length === 0 ? `all of its first ${counted(bad.length, 'run')}` : `its last ${counted(inARow, 'run')} all`;
  const last = byEnd[0]!;
  const next = `Nothing more is started. \`trainstash log ${last.number}\` shows the output, \`trainstash sweep resume ${record.number}\` goes on.`;
  if (stateOf(last) === 'failed')
    return `${which} failed, the last one with: ${last.reason.replace(/\.$/, '') || 'no message'}. ${next}`;
  const logged = Object.keys(last.metrics);
  const have = logged.length > 0 ? `they logged ${logged.slice(0, 8).join(', ')}` : 'they logged no metrics';
  return `${which} ended without a finite ${monitor?.metric ?? 'metric'} to be judged by; ${have}. ${next}`;
}

export function summaryOf(record: SweepRecord, runs: readonly TrialRun[], monitor: Monitor | null): SweepSummary {
  const { id, number, job, state, reason, createdAt, plan, gpu } = record;
  const count = (of: TrialState) => runs.filter((run) => stateOf(run) === of).length;
  const best = bestOf(runs, monitor);
  return {
    ...{ id, number, job, state, reason, createdAt, gpu },
    sampler: plan.sampler,
    varies: Object.keys(plan.params),
    runs: plan.runs,
    completed: count('completed'),
    pruned: count('pruned'),
    failed: count('failed'),
    other: count('other'),
    live: count('live'),
    queued: count('queued'),
    metric: monitor,
    best,
  };
}

export function bestOf(runs: readonly TrialRun[], monitor: Monitor | null): SweepSummary['best'] {
  if (!monitor) return null;
  let best: SweepSummary['best'] = null;
  for (const run of runs) {
    const value = run.trashedAt === null ? objectiveOf(run, monitor) : null;
    if (value === null || (best && !isBetter(value, best.value, monitor))) continue;
    best = { run: run.id, runNumber: run.number, value, params: run.params };
  }
  return best;
}

/** Sums a finished sweep up. */
export function endText({ runs, completed, pruned, failed, other, best, metric: monitor }: SweepSummary): string {
  const parts = [
    `${integer(completed)} of ${counted(runs, 'run')} completed`,
    ...(pruned > 0 ? [`${integer(pruned)} ended early`] : []),
    ...(failed > 0 ? [`${integer(failed)} failed`] : []),
    ...(other > 0 ? [`${integer(other)} paused or stopped`] : []),
  ];
  const winner = best && monitor ? `; best ${monitor.metric} ${metric(best.value)} in #${best.runNumber}` : '';
  return `${parts.join(', ')}${winner}`;
}
