/** Which automatic checkpoints of a run may go. Pure: the rules, without a store. */
import type { Checkpoint, Monitor } from '../../protocol/domain.ts';

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
  const newest = new Set(byStep.slice(-Math.max(1, policy.last)).map(({ id }) => id));
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
      if (newest.has(checkpoint.id))
        reasons.push(checkpoint === byStep.at(-1) ? 'newest of its run' : `one of the last ${policy.last}`);
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
