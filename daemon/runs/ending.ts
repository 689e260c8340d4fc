import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { maskText } from '../../protocol/secrets.ts';
import type { ExitRecord } from '../../protocol/session.ts';
import { outcomeOf } from '../sessions/ending.ts';

/** Determines the final status of a run whose session is over. `exit` is null when no exit record was written. */
export function endingOf(
  run: Run,
  exit: ExitRecord | null,
  forced: boolean,
  newest: Checkpoint | null,
): Pick<Run, 'status' | 'reason' | 'failure'> {
  if (exit) {
    const code = exit.error?.code ?? 'internal';
    return { status: exit.outcome, reason: maskText(exit.reason), failure: code === 'internal' ? null : code };
  }
  const kept = newest ? `its newest checkpoint is at step ${newest.step}` : 'it had no checkpoint yet';
  const reason = forced
    ? `killed by request; ${kept}`
    : `the process exited at step ${run.step} without an exit record (killed, or out of memory?); ${kept}`;
  return { status: outcomeOf({ code: null, signal: null }, forced ? 'stopped' : null), reason, failure: null };
}
