/** Asks the scheduler to start this job again, where it does not do so by itself. */
import { spawnSync } from 'node:child_process';
import type { Allocation } from '../../protocol/allocation.ts';
import type { ExitRecord } from '../../protocol/session.ts';

const WAIT_MS = 30_000;

type Preempted = NonNullable<ExitRecord['preempted']>;

/**
 * Returns the record of an end before its time, as it has to be on disk before the scheduler is asked: asking ends this process. Slurm
 * sends SIGTERM for a requeue, a cancellation and a preemption, and starts a job again by itself only after the first. A job that ends
 * within the grace of a preemption is over for it; the job still counts as running then, which tells the three apart.
 */
export function preemptedBy(signal: NodeJS.Signals, allocation: Allocation | null): Preempted {
  const isOfSlurm = allocation?.kind === 'slurm';
  const asks = isOfSlurm && (signal !== 'SIGTERM' || stateOf(allocation.job) === 'RUNNING');
  return { signal, again: asks ? 'asked' : 'itself' };
}

function stateOf(job: string): string | null {
  const { stdout } = spawnSync('scontrol', ['show', 'job', '-o', job], { encoding: 'utf8', timeout: WAIT_MS });
  return /\bJobState=(\w+)/.exec(stdout ?? '')?.[1] ?? null;
}

/** Asks. Returns what the scheduler says against it; null: it does it, or does not have to be asked. */
export function askForNextLife({ again }: Preempted, allocation: Allocation | null): string | null {
  if (again !== 'asked' || !allocation) return null;
  const { status, stderr, error } = spawnSync('scontrol', ['requeue', allocation.job], {
    encoding: 'utf8',
    timeout: WAIT_MS,
  });
  if (status === 0) return null;
  return error?.message ?? (stderr.trim().split('\n').at(-1) || `scontrol ended with ${status}`);
}
