/** Asks the scheduler to start this job again, where it does not do so by itself. */
import { spawnSync } from 'node:child_process';
import type { Allocation } from '../../protocol/allocation.ts';
import type { ExitRecord } from '../../protocol/session.ts';

const WAIT_MS = 30_000;

type Preempted = NonNullable<ExitRecord['preempted']>;

/**
 * Returns the record of an end before its time, as it has to be on disk before the scheduler is asked: asking ends this process. Slurm
 * sends SIGTERM for a requeue, a cancellation and a preemption, and starts a job again by itself only after the first. A job that ends
 * within the grace of a preemption is over for it; the job still counts as running then, which tells the three apart. One
 * that runs in a later start has lost sight of this node: asking would end the training there.
 */
export function preemptedBy(signal: NodeJS.Signals, allocation: Allocation | null): Preempted {
  const isOfSlurm = allocation?.kind === 'slurm';
  const asks = isOfSlurm && (signal !== 'SIGTERM' || isRunning(allocation));
  return { signal, again: asks ? 'asked' : 'itself' };
}

function isRunning({ job, restart }: Allocation): boolean {
  const { stdout } = spawnSync('scontrol', ['show', 'job', '-o', job], { encoding: 'utf8', timeout: WAIT_MS });
  const own = restart ?? 0;
  return /\bJobState=RUNNING\b/.test(stdout ?? '') && Number(/\bRestarts=(\d+)/.exec(stdout)?.[1] ?? own) === own;
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
