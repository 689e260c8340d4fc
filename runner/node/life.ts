/** One life of a training in the allocation of a scheduler: runs its command, and ends with a code that has it started again. */

import { toWire } from '../../protocol/errors.ts';
import type { ExitRecord, Launch } from '../../protocol/session.ts';
import { isCrash } from '../../protocol/status.ts';
import { AGAIN_CODE } from '../../protocol/task.ts';
import type { SessionDirectory } from '../../session/directory.ts';
import { type Attended, attend, recordEnd } from './attend.ts';
import { askForNextLife, preemptedBy } from './requeue.ts';

/** Runs the command of a session, and records its end. Returns the exit code of this process. */
export async function liveOnce(
  directory: SessionDirectory,
  launch: Launch,
  setup: Pick<Attended, 'real' | 'packages' | 'graceSeconds'>,
): Promise<number> {
  const allocation = launch.allocation ?? null;
  let record: ExitRecord;
  let signal: NodeJS.Signals | null = null;
  let isSuperseded = false;
  try {
    ({ record, signal, isSuperseded } = await attend({ ...setup, directory, launch, records: true, rank: 0 }));
  } catch (error) {
    record = failure('internal', toWire(error).message, launch);
  }
  if (signal === null || signal === 'SIGINT') {
    await recordEnd(directory, record, signal !== null);
    return isCrash(record.outcome) ? 1 : 0;
  }
  // The next life has begun already.
  const preempted = isSuperseded ? ({ signal, again: 'itself' } as const) : preemptedBy(signal, allocation);
  await recordEnd(directory, { ...record, preempted }, true);
  const refusal = askForNextLife(preempted, allocation);
  if (refusal !== null) {
    console.error(`trainstash: Slurm does not start this job again: ${refusal}`);
    const reason = `${record.reason}; not requeued: ${refusal}`;
    await recordEnd(directory, { ...record, reason, preempted: { ...preempted, again: 'refused' } }, true);
  }
  return AGAIN_CODE;
}

/** Makes the record of a life that could not begin. */
export function failure(code: string, message: string, { resume }: Launch): ExitRecord {
  const error = { code, message, data: {} };
  return { outcome: 'failed', step: resume?.step ?? 0, at: Date.now(), reason: message, error };
}
