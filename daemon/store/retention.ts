/** Which automatic checkpoints of a run may go. Pure: the rules, without a store. */
import type { Checkpoint, Monitor, Run } from '../../protocol/domain.ts';
import { fromWireNumber, hasDiverged, isBetter } from '../../protocol/numbers.ts';

export interface KeepPolicy {
  /** How many of the newest. */
  last: number;
  /** Keep those whose step is a multiple of this. */
  every: number | null;
  /** The best by this metric. */
  monitor: Monitor | null;
}

export const DEFAULT_KEEP: KeepPolicy = { last: 3, every: null, monitor: null };

/** Asked for by a person: never pruned by itself. */
const MANUAL_REASON = 'request';

/** For each checkpoint why it is kept; an empty list means it may go. `needed`: resumed from, or a fork's parent. */
export function keptBecause(
  checkpoints: readonly Checkpoint[],
  policy: KeepPolicy,
  needed: ReadonlyMap<string, string>,
): Map<string, string[]> {
  const byStep = [...checkpoints].sort((a, b) => a.step - b.step || a.createdAt - b.createdAt);
  // By time: where a training began anew, the newest have the lower steps.
  const byTime = [...checkpoints].sort(byAge);
  const whole = wholeOf(byTime);
  const good = whole.filter((checkpoint) => !isDiverged(checkpoint, policy.monitor));
  const last = -Math.max(1, policy.last);
  // Those of diverged states are among the newest, too, but take the place of no good one; one that lacks a part takes
  // the place of no whole one.
  const newest = new Set(
    [...good.slice(last), ...(whole.length > 0 ? whole : byTime).slice(last), ...byTime.slice(-1)].map(({ id }) => id),
  );
  const newestId = byTime.at(-1)?.id;
  const best = policy.monitor && bestOf(byStep, policy.monitor)?.id;
  return new Map(
    byStep.map((checkpoint) => {
      // What a person has done first, then what the rules say.
      const reasons: string[] = [];
      if (checkpoint.tags.length > 0) reasons.push(`tagged ${checkpoint.tags.join(', ')}`);
      const need = needed.get(checkpoint.id);
      if (need) reasons.push(need);
      if (checkpoint.reasons.includes(MANUAL_REASON)) reasons.push('taken on request');
      if (checkpoint.keep) reasons.push('brought back from the trash');
      if (checkpoint.id === best) reasons.push(`best ${policy.monitor!.metric}`);
      const diverged = isDiverged(checkpoint, policy.monitor) ? ' (diverged)' : '';
      if (newest.has(checkpoint.id))
        reasons.push(
          `${checkpoint.id === newestId ? 'newest of its run' : `one of the last ${policy.last}`}${diverged}`,
        );
      if (policy.every && checkpoint.step % policy.every === 0) reasons.push(`every ${policy.every} steps`);
      return [checkpoint.id, reasons];
    }),
  );
}

/** Finds the checkpoint with the best value of the metric, see `isBetter`; one of a diverged state is not it. */
export function bestOf(checkpoints: readonly Checkpoint[], monitor: Monitor): Checkpoint | undefined {
  let best: Checkpoint | undefined;
  let record: number | null = null;
  for (const checkpoint of checkpoints) {
    const wire = checkpoint.metrics[monitor.metric];
    const value = wire === undefined ? Number.NaN : fromWireNumber(wire);
    if (isDiverged(checkpoint, monitor) || !isBetter(monitor.mode, value, record)) continue;
    best = checkpoint;
    record = value;
  }
  return best;
}

/** Tells whether it was taken of a state that had diverged. */
export function isDiverged(checkpoint: Pick<Checkpoint, 'metrics'>, monitor: Monitor | null): boolean {
  return hasDiverged(monitor, (metric) => checkpoint.metrics[metric]);
}

/** Finds what a resume goes on from: the newest that has all that others have and has not diverged, or the newest at all. */
export function newestGood(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Checkpoint | undefined {
  const byTime = [...checkpoints].sort(byAge);
  const sound = byTime.filter((checkpoint) => !isDiverged(checkpoint, monitor));
  // Half of a sound state is worth more than all of a diverged one.
  return wholeOf(sound).at(-1) ?? sound.at(-1) ?? wholeOf(byTime).at(-1) ?? byTime.at(-1);
}

/** Returns those that are newer, in order of their age. */
export function newerThan(checkpoints: readonly Checkpoint[], { id, ...than }: Checkpoint): Checkpoint[] {
  return checkpoints.filter((other) => other.id !== id && byAge(other, than) > 0).sort(byAge);
}

/** Makes what a run's record says of its last checkpoint. */
export function lastOf(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Run['lastCheckpoint'] {
  const last = newestGood(checkpoints, monitor);
  return last ? { id: last.id, step: last.step, grade: last.grade } : null;
}

/**
 * Leaves out those with less in them than others have: files of a series that lacks one, and files without the optimizer's state
 * beside files that have it. A script that saves its best weights, samples or debris beside its checkpoints cannot resume from those.
 */
function wholeOf(checkpoints: readonly Checkpoint[]): Checkpoint[] {
  const inParts = checkpoints.filter(({ lacks }) => !lacks?.length);
  const withOptimizer = inParts.filter(keepsOptimizer);
  return withOptimizer.length > 0 ? withOptimizer : inParts;
}

export function keepsOptimizer({ ingredients }: Pick<Checkpoint, 'ingredients'>): boolean {
  return ingredients?.some(({ kind, state }) => kind === 'optimizer' && state !== 'lost') ?? true;
}

/** The oldest first; those of one time by their steps. */
function byAge(a: Pick<Checkpoint, 'createdAt' | 'step'>, b: Pick<Checkpoint, 'createdAt' | 'step'>): number {
  return a.createdAt - b.createdAt || a.step - b.step;
}
