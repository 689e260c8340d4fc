/** Reads what the agent on a host prints about jobs. Pure. */
import { AGAIN_CODE } from '../../../protocol/task.ts';
import type { JobEnd, JobState } from '../contract.ts';

/** Exit codes of processes that a signal has ended: SIGTERM and SIGKILL. */
const TERMINATED = 143;
const KILLED = 137;

/** State of a job, or the name of the host that has it, which is not the one that has answered. */
export type HostJob = JobState | { elsewhere: string };

/** Parses the lines of `poll`, by job. */
export function jobsIn(output: string): Map<string, HostJob> {
  const jobs = new Map<string, HostJob>();
  for (const line of output.split('\n')) {
    const [id, state, host = '', code = '', why = ''] = line.split(' ');
    if (!id || !state) continue;
    const nodes = host === '-' ? '' : host;
    if (state === 'elsewhere') jobs.set(id, { elsewhere: nodes });
    else jobs.set(id, stateOf(state, nodes, code, why));
  }
  return jobs;
}

function stateOf(state: string, nodes: string, code: string, why: string): JobState {
  const base = { reason: '', nodes, restarts: 0 };
  if (state === 'running') return { ...base, phase: 'running' };
  if (state === 'pending') return { ...base, phase: 'pending', reason: code === 'turn' ? 'its turn' : '' };
  if (state === 'gone') return { ...base, phase: 'gone' };
  if (state === 'lost') return { ...base, phase: 'ended', reason: code, end: 'lost' };
  return { ...base, phase: 'ended', end: endOf(Number(code), why === 'shutdown') };
}

/** A job that was asked to end goes on after a shutdown of its host; a person, or an administrator, has asked otherwise. */
function endOf(code: number, isShutdown: boolean): JobEnd {
  if (code === 0) return 'completed';
  if (code === KILLED) return 'lost';
  if (code !== AGAIN_CODE && code !== TERMINATED) return 'failed';
  return isShutdown ? 'lost' : 'cancelled';
}
