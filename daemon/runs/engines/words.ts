/** Sentences about runs on engines, and their state in a run's record. Pure. */

import type { Run } from '../../../protocol/domain.ts';
import type { EngineState, EngineType } from '../../../protocol/engines.ts';
import type { JobEnd, JobState } from '../../engines/contract.ts';
import type { EngineRecord } from './records.ts';

export const PREEMPTED = 'was ended by its engine before its time, with a checkpoint, and goes on by itself';
export const FORGOTTEN =
  'its engine did not start it again, and only the daemon that submitted it knew the secrets in its command or params; resume it with them given again';
export const NOT_TAKEN = 'has not taken it: the answer to its submission was lost, and no such job is there';
const SECRETS_KEPT =
  'Its command or params have secrets. Slurm keeps them in its copy of the job’s script, on a disk of the cluster, for as long as it knows the job; its administrators can read them.';

const ENDS: Readonly<Record<JobEnd, string>> = {
  completed: 'ended without an error',
  failed: 'failed',
  cancelled: 'was cancelled',
  preempted: 'was ended for another job',
  lost: 'lost its node',
  timeout: 'reached its time limit',
  outOfMemory: 'had no memory left on its node',
};

/** Makes the state that a run's record has. */
export function engineState(
  { engine: name, config, job, seen }: EngineRecord,
  state: JobState | undefined,
  run: Run,
  unknownSince: number | null,
): EngineState {
  const before = run.engine?.job === job ? run.engine : null;
  return {
    name,
    type: config.type,
    job,
    phase: state?.phase ?? before?.phase ?? 'pending',
    reason: state?.reason ?? before?.reason ?? '',
    nodes: state?.nodes ?? before?.nodes ?? '',
    life: Math.max(1, seen.length),
    unknownSince,
    ...((state?.gpus ?? before?.gpus) ? { gpus: state?.gpus ?? before?.gpus } : {}),
  };
}

/** Describes an end that neither a person here nor the training has asked for. */
export function cancelledText({ engine, config }: Pick<EngineRecord, 'engine' | 'config'>): string {
  if (config.type === 'ssh')
    return `stopped on ${engine}: its process there was asked to end, by hand or by the system`;
  return 'stopped by the cluster: its job was cancelled there, by an administrator or by hand';
}

/** Says what an engine keeps of secrets; null: nothing, after the start. */
export function secretsText(type: EngineType): string | null {
  return type === 'slurm' ? SECRETS_KEPT : null;
}

/** Names the job of a run. */
export function placeText({ job, engine }: Pick<EngineRecord, 'job' | 'engine'>): string {
  return job === '' ? `${engine}, which has not told the number of its job yet` : `job ${job} on ${engine}`;
}

export function notCancelledText(record: EngineRecord): string {
  return `${placeText(record)} could not be cancelled, and may go on there. Trainstash asks again by itself.`;
}

export function resubmittedText(record: EngineRecord, again: string, isEnvironmentKnown: boolean): string {
  const number = again === '' ? '' : `, as job ${again}`;
  const whose = environmentText(record, isEnvironmentKnown);
  return `Its job ${record.job} was not requeued, so it was submitted again${number}.${whose && ` ${whose}`}`;
}

/** Says that a job has another environment than the person's; empty: it has that one, or none, since none is sent through ssh. */
export function environmentText({ config }: EngineRecord, isKnown: boolean): string {
  if (isKnown || config.host !== undefined) return '';
  return 'It has the environment of Trainstash’s daemon, since that of your shell was known to an earlier one only.';
}

export function pendingText(record: EngineRecord, { phase, reason }: JobState, run: Run): string {
  const place = placeText(record);
  if (phase === 'running') return `${place} begins`;
  const again = run.sessions > 0 ? 'goes on when its turn comes; ' : '';
  return `${again}${place} waits${reason ? ` (${reason})` : ''}`;
}

/** Describes the end of a job. */
export function endedText({ job, engine }: EngineRecord, { phase, end }: JobState): string {
  if (phase === 'gone') return `${engine} does not know its job ${job} any more`;
  return `its job ${job} on ${engine} ${end ? ENDS[end] : 'ended'}`;
}

/** Shortens what a job has printed to its last lines, as the part of a sentence; empty if it has printed nothing. */
export function lastLines(printed: string): string {
  const lines = printed.trim().split('\n').filter(Boolean).slice(-3);
  return lines.length > 0 ? `: ${lines.join(' / ').slice(-400)}` : '';
}
