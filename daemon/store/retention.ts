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
  const good = byStep.filter((checkpoint) => !isDiverged(checkpoint, policy.monitor));
  const last = -Math.max(1, policy.last);
  // Those of diverged states are among the newest, too, but take the place of no good one.
  const newest = new Set([...good.slice(last), ...byStep.slice(last)].map(({ id }) => id));
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
          `${checkpoint === byStep.at(-1) ? 'newest of its run' : `one of the last ${policy.last}`}${diverged}`,
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

/** Finds what a resume goes on from: the newest that has not diverged, or the newest at all. `checkpoints`: by step, ascending. */
export function newestGood(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Checkpoint | undefined {
  return checkpoints.findLast((checkpoint) => !isDiverged(checkpoint, monitor)) ?? checkpoints.at(-1);
}

/** Makes what a run's record says of its last checkpoint. */
export function lastOf(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Run['lastCheckpoint'] {
  const last = newestGood(checkpoints, monitor);
  return last ? { id: last.id, step: last.step, grade: last.grade } : null;
}
