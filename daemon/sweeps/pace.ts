/** Decides how many runs of a sweep train at once, and how many begin now. Pure. */
import type { SweepRecord } from '../../protocol/sweep.ts';
import { stateOf, type TrialRun } from './trials.ts';

/** Runs on an engine at once. The scheduler decides which of them train; more would only fill its queue. */
const MOST_ON_ENGINE = 200;
/** Runs on an engine at once from whose results Optuna learns: with all of them there it could learn nothing. */
const MOST_LEARNT_FROM = 4;
/** Runs in one array: most clusters refuse arrays of more than a thousand. */
const MOST_IN_ARRAY = 100;

type Facts = Pick<SweepRecord, 'plan' | 'gpu' | 'engine'>;

/** `width`: runs without a device of their own that may train at once on this machine. */
export function mostAtOnce({ plan, gpu, engine }: Facts, width: number): number {
  if (plan.parallel !== undefined) return plan.parallel;
  if (engine !== undefined) return plan.sampler === 'optuna' ? MOST_LEARNT_FROM : MOST_ON_ENGINE;
  return gpu === 'shared' || gpu === 0 ? width : Number.POSITIVE_INFINITY;
}

/** Tells whether one more run may begin. Here none begins while another one waits: how many train at once is up to the queue. */
export function hasRoom(facts: Facts, active: readonly TrialRun[], width: number): boolean {
  if (active.length >= mostAtOnce(facts, width)) return false;
  return facts.engine !== undefined || !active.some((run) => stateOf(run) === 'queued');
}

/** Counts the new runs that begin together, of those that are left. On an engine they wait until they make an array worth its name. */
export function sizeOfNext(facts: Facts, active: readonly TrialRun[], left: number, width: number): number {
  if (!hasRoom(facts, active, width)) return 0;
  if (facts.engine === undefined) return 1;
  const most = mostAtOnce(facts, width);
  const room = most - active.length;
  return room >= Math.min(left, Math.ceil(most / 4)) ? Math.min(left, room, MOST_IN_ARRAY) : 0;
}
