/** Which automatic checkpoints of a run may go. Pure: the rules, without a store. */
import type { Checkpoint, Monitor, Run } from '../../protocol/domain.ts';

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
  const whole = byTime.filter(isWhole);
  const count = Math.max(1, policy.last);
  // One that lacks a part takes the place of no whole one.
  const newest = new Set(
    [...(whole.length > 0 ? whole : byTime).slice(-count), ...byTime.slice(-1)].map(({ id }) => id),
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
      if (checkpoint.id === best) reasons.push(`best ${policy.monitor!.metric}`);
      if (newest.has(checkpoint.id))
        reasons.push(checkpoint.id === newestId ? 'newest of its run' : `one of the last ${policy.last}`);
      if (policy.every && checkpoint.step % policy.every === 0) reasons.push(`every ${policy.every} steps`);
      return [checkpoint.id, reasons];
    }),
  );
}

/** The checkpoint with the best value of the metric; of equals the earliest. */
export function bestOf(checkpoints: readonly Checkpoint[], { metric, mode }: Monitor): Checkpoint | undefined {
  let best: Checkpoint | undefined;
  for (const checkpoint of checkpoints) {
    const value = checkpoint.metrics[metric];
    if (value === undefined || Number.isNaN(value)) continue;
    const record = best?.metrics[metric];
    if (record === undefined || (mode === 'min' ? value < record : value > record)) best = checkpoint;
  }
  return best;
}

/** What a resume goes on from: the newest with all of its parts, or the newest at all. */
export function newestGood(checkpoints: readonly Checkpoint[], _monitor: Monitor | null): Checkpoint | undefined {
  const byTime = [...checkpoints].sort(byAge);
  return byTime.findLast(isWhole) ?? byTime.at(-1);
}

/** What a run's record says of its last checkpoint. */
export function lastOf(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Run['lastCheckpoint'] {
  const last = newestGood(checkpoints, monitor);
  return last ? { id: last.id, step: last.step, grade: last.grade } : null;
}

function isWhole({ lacks }: Pick<Checkpoint, 'lacks'>): boolean {
  return !lacks?.length;
}

/** The oldest first; those of one time by their steps. */
function byAge(a: Checkpoint, b: Checkpoint): number {
  return a.createdAt - b.createdAt || a.step - b.step;
}
