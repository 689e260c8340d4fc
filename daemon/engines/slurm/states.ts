/** Reads what Slurm prints about jobs. Pure. */
import type { JobEnd, JobState } from '../contract.ts';

/** Columns of `squeue -O` with their widths; what is longer is cut off. */
const COLUMNS = [
  ['JobArrayID', 40],
  ['State', 24],
  ['Reason', 60],
  ['RestartCnt', 12],
  ['NodeList', 400],
  ['NumNodes', 12],
  ['tres-per-node', 80],
  ['tres-per-job', 80],
] as const;
/** Columns by which a submission is found again. */
const FOUND_COLUMNS = [
  ['JobArrayID', 40],
  ['Comment', 80],
] as const;
export type Columns = readonly (readonly [name: string, width: number])[];

export const SQUEUE_WORDS = squeueWords(COLUMNS);
export const FIND_WORDS = squeueWords(FOUND_COLUMNS);

function squeueWords(columns: Columns): readonly string[] {
  const format = columns.map(([name, width]) => `${name}:${width}`).join(',');
  return ['squeue', '--me', '--noheader', '--array', '--states=all', `--Format=${format}`];
}

/** Cuts a line into its cells. */
export function cells(line: string, columns: Columns): string[] {
  let at = 0;
  return columns.map(([, width]) => {
    at += width;
    return line.slice(at - width, at).trim();
  });
}

/** Parses the output of `FIND_WORDS`: the ids of the jobs with a comment, in the order of an array. */
export function jobsWith(comment: string, output: string): string[] {
  const ids = output.split('\n').flatMap((line) => {
    const [id, own] = cells(line, FOUND_COLUMNS);
    return own === comment && id ? [id] : [];
  });
  return ids.sort((a, b) => taskOf(a) - taskOf(b));
}

function taskOf(id: string): number {
  return Number(id.split('_')[1] ?? 0);
}

/**
 * Reads the number that `sbatch --parsable` prints: its last line, since a plug-in or a wrapper of the site may print others. Null:
 * there is none.
 */
export function submittedId(output: string): string | null {
  const [, id] = /^(\d+)(;\S*)?$/.exec(output.trim().split('\n').at(-1)?.trim() ?? '') ?? [];
  return id ?? null;
}

const PENDING = new Set(['PENDING', 'REQUEUED', 'REQUEUE_HOLD', 'REQUEUE_FED', 'SPECIAL_EXIT', 'RESV_DEL_HOLD']);
const ENDS: Readonly<Record<string, JobEnd>> = {
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  PREEMPTED: 'preempted',
  NODE_FAIL: 'lost',
  BOOT_FAIL: 'lost',
  LAUNCH_FAILED: 'lost',
  TIMEOUT: 'timeout',
  DEADLINE: 'timeout',
  OUT_OF_MEMORY: 'outOfMemory',
};

/** Parses the output of `SQUEUE_WORDS`, by job. */
export function statesIn(output: string): Map<string, JobState> {
  const states = new Map<string, JobState>();
  for (const line of output.split('\n')) {
    const [id, state, reason, restarts, nodes, count, perNode, perJob] = cells(line, COLUMNS);
    if (!id) continue;
    const gpus = gpusIn(perJob!) || gpusIn(perNode!) * (Number(count) || 1) || undefined;
    states.set(id, { ...stateOf(state!, reason!, Number(restarts) || 0, nodes!), gpus });
  }
  return states;
}

/** Counts the GPUs in a list of generic resources, such as `gres:gpu:a100:2` or `gpu:a100:1(IDX:0),nic:2`. */
export function gpusIn(resources: string): number {
  const counts = [...resources.matchAll(/\bgpu(?::[^:,()\s]+)??(?::(\d+))?(?=[,(\s]|$)/g)];
  return counts.reduce((sum, [, count]) => sum + Number(count ?? 1), 0);
}

/** Returns whether `scontrol show job -o` says that a job may be requeued; null: it does not say. */
export function mayRequeue(output: string): boolean | null {
  const [, value] = /\bRequeue=(\d)/.exec(output) ?? [];
  return value === undefined ? null : value === '1';
}

/** Returns the seconds between SIGTERM and SIGKILL in the output of `scontrol show config`; null: it does not say. */
export function killWaitIn(output: string): number | null {
  const [, seconds] = /^KillWait\s*=\s*(\d+)/m.exec(output) ?? [];
  return seconds === undefined ? null : Number(seconds);
}

function stateOf(state: string, why: string, restarts: number, nodes: string): JobState {
  const reason = why === 'None' || why === '(null)' ? '' : why;
  if (PENDING.has(state)) return { phase: 'pending', reason, nodes: '', restarts };
  const end = ENDS[state];
  // Every other state, also one that only a later version has, may be that of a training that lives.
  return end ? { phase: 'ended', reason, nodes, restarts, end } : { phase: 'running', reason: '', nodes, restarts };
}
