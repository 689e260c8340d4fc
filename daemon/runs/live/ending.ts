import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import { maskText } from '../../../protocol/secrets.ts';
import type { ExitRecord } from '../../../protocol/session.ts';
import { outcomeOf } from '../../../session/ending.ts';
import type { RunFields } from '../../store/catalog/run-change.ts';
import { newestGood } from '../../store/maintenance/retention.ts';

const DRAFT_MS = 60_000;

interface SessionEnd {
  exit: ExitRecord | null;
  endedAt: number;
  forced: boolean;
  /** All checkpoints of the run. */
  checkpoints: Checkpoint[];
  metrics: Run['metrics'];
}

/** Returns what the end of a session changes in the record of its run. */
export function endOf(run: Run, { exit, endedAt, forced, checkpoints, metrics }: SessionEnd): RunFields {
  const newest = newestGood(checkpoints, run.monitor) ?? null;
  const ending = endingOf(run, exit, forced, newest);
  return {
    ...ending,
    endedAt,
    etaSeconds: null,
    // The runner of a script that reports its own steps does not count them.
    step: Math.max(exit?.step ?? 0, run.step),
    epoch: Math.max(run.epoch, newest?.epoch ?? 0),
    metrics,
    draft: checkpoints.length === 0 && endedAt - run.createdAt < DRAFT_MS && ending.status !== 'completed',
  };
}

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
