/** Rules about the status of a run: whether it is live, may go on, has crashed. */
import type { RunStatus } from './domain.ts';

/** Statuses of a run that is not over. `queued` is one of them: the run starts by itself. */
export const LIVE_STATUSES: readonly RunStatus[] = ['queued', 'starting', 'running', 'pausing', 'stopping'];
/** Statuses of a run that ended before it was done, and not because a person stopped it. */
export const INTERRUPTED_STATUSES: readonly RunStatus[] = ['paused', 'failed', 'lost'];
/** Statuses of a run that ended before it was done. */
export const ENDED_EARLY_STATUSES: readonly RunStatus[] = [...INTERRUPTED_STATUSES, 'stopped'];
export const RESUMABLE_STATUSES: readonly RunStatus[] = [...ENDED_EARLY_STATUSES, 'completed'];
/** Time without an event after which a live run counts as stalled. */
export const STALLED_MS = 240_000;

/** Tells whether a run ended in an error or without an exit record. Takes the outcome of a session, too. */
export function isCrash(status: RunStatus): boolean {
  return status === 'failed' || status === 'lost';
}
