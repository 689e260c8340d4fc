/** Decides which checkpoints of a run are sent, and which may leave a remote. Pure. */
import type { Checkpoint, Monitor } from '../../../protocol/domain.ts';
import type { KeepThere, PushChoice } from '../../../protocol/pushing.ts';
import { bestOf, keptBecause, newestGood } from '../../store/maintenance/retention.ts';

/** Chooses what is sent. */
export function chosenToSend(
  checkpoints: readonly Checkpoint[],
  which: PushChoice,
  monitor: Monitor | null,
): Checkpoint[] {
  if (which === 'none') return [];
  if (which === 'all') return [...checkpoints];
  const names = which.split(',');
  const best = names.includes('best') && monitor ? bestOf(checkpoints, monitor) : undefined;
  // The newest is what a resume goes on from; without a metric it also stands in for the best one.
  const last = names.includes('last') || !best ? newestGood(checkpoints, monitor) : undefined;
  return [...new Set([best, last])].filter((one) => one !== undefined);
}

/**
 * Chooses what may leave the remote: automatic checkpoints beyond the policy. Those with a tag there or here, pinned, taken on
 * request, or from which a run went on stay in any case, so a tagged checkpoint never loses a copy.
 */
export function chosenToLeave(
  there: readonly Checkpoint[],
  keep: KeepThere,
  monitor: Monitor | null,
  needed: ReadonlySet<string>,
): Checkpoint[] {
  const policy = { last: keep.last, every: null, monitor: keep.best ? monitor : null };
  const reasons = keptBecause(there, policy, new Map());
  return there.filter(({ id }) => reasons.get(id)?.length === 0 && !needed.has(id));
}
