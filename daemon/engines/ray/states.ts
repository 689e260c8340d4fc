/** Reads what Ray's Jobs API answers, and the options of its own command. Pure. */
import * as v from 'valibot';
import { AGAIN_CODE } from '../../../protocol/task.ts';
import type { JobEnd, JobState } from '../contract.ts';

const jobSchema = v.object({
  submission_id: v.string(),
  status: v.string(),
  message: v.nullish(v.string(), ''),
  error_type: v.nullish(v.string(), null),
  driver_exit_code: v.nullish(v.number(), null),
  driver_agent_http_address: v.nullish(v.string(), null),
});
type RayJob = v.InferOutput<typeof jobSchema>;

/** Errors that are those of Ray's own processes, or of a node: the script may have run, and may not have. */
const LOST = [
  'JOB_SUPERVISOR_ACTOR_DIED',
  'JOB_SUPERVISOR_ACTOR_UNKNOWN_FAILURE',
  'JOB_SUPERVISOR_ACTOR_START_TIMEOUT',
];
/** Exit codes of a process that SIGTERM or SIGKILL has ended, as a shell and as Python tell them. */
const TERMINATED = [143, -15];
const KILLED = [137, -9];

/** Parses the list of all jobs, by submission; what others have submitted in other ways is not in it. Null: it is none. */
export function jobsIn(text: string): Map<string, JobState> | null {
  const parsed = v.safeParse(v.array(v.unknown()), json(text));
  if (!parsed.success) return null;
  const jobs = parsed.output.flatMap((one) => {
    const job = v.safeParse(jobSchema, one);
    return job.success ? [job.output] : [];
  });
  return new Map(jobs.map((job) => [job.submission_id, stateOf(job)]));
}

function stateOf(job: RayJob): JobState {
  const { status, message, driver_agent_http_address: agent } = job;
  const base = { nodes: hostOf(agent), restarts: 0, reason: '' };
  if (status === 'PENDING') return { ...base, phase: 'pending', reason: firstSentence(message ?? '') };
  if (status === 'SUCCEEDED' || status === 'STOPPED' || status === 'FAILED')
    return { ...base, phase: 'ended', end: endOf(job) };
  // Every other state, also one that only a later version has, may be that of a training that lives.
  return { ...base, phase: 'running' };
}

function endOf({ status, error_type: error, driver_exit_code: code }: RayJob): JobEnd {
  if (status === 'SUCCEEDED') return 'completed';
  if (status === 'STOPPED') return 'cancelled';
  if (code === AGAIN_CODE || TERMINATED.includes(code ?? 0)) return 'preempted';
  return LOST.includes(error ?? '') || KILLED.includes(code ?? 0) ? 'lost' : 'failed';
}

/** Returns the sentence that says what a job waits for: that it has not started is no reason. */
function firstSentence(message: string): string {
  const sentences = message.split(/(?<=\.) /);
  const reason = sentences.find((one) => /waiting/i.test(one)) ?? sentences[0] ?? '';
  return reason
    .replace(/^It may be waiting for /, 'may wait for ')
    .replace(/\.$/, '')
    .slice(0, 160);
}

function hostOf(address: string | null): string {
  try {
    return address === null ? '' : new URL(address).hostname;
  } catch {
    return '';
  }
}

/** Fields of a submission by the options of `ray job submit`. */
const OPTIONS: Readonly<Record<string, readonly [field: string, read: (text: string) => unknown]>> = {
  'entrypoint-num-cpus': ['entrypoint_num_cpus', number],
  'entrypoint-num-gpus': ['entrypoint_num_gpus', number],
  'entrypoint-memory': ['entrypoint_memory', number],
  'entrypoint-resources': ['entrypoint_resources', object],
  'entrypoint-label-selector': ['entrypoint_label_selector', object],
};

/** Translates options such as `--entrypoint-num-gpus=1` into fields; a string: the sentence for one that cannot be used. */
export function fieldsOf(options: readonly string[]): Record<string, unknown> | string {
  const fields: Record<string, unknown> = {};
  for (const option of options) {
    const [, name, text = ''] = /^--([\w-]+)=(.*)$/s.exec(option) ?? [];
    const known = name === undefined ? undefined : OPTIONS[name];
    const value = known?.[1](text);
    if (!known || value === undefined)
      return `"options" has ${option}, which it cannot have: these are known, each with a value: ${Object.keys(OPTIONS)
        .map((one) => `--${one}=`)
        .join(', ')}`;
    fields[known[0]] = value;
  }
  return fields;
}

function number(text: string): number | undefined {
  const value = Number(text);
  return text.trim() !== '' && Number.isFinite(value) && value >= 0 ? value : undefined;
}

function object(text: string): unknown {
  const value = json(text);
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined;
}

function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the last line of an error: before it Ray sends where in its own code that happened. */
export function reasonIn(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  const line = lines.filter((one) => /[a-z]/i.test(one)).at(-1) ?? '';
  return line
    .replace(/^\w+(Error|Exception): /, '')
    .replace(/\.$/, '')
    .slice(0, 300);
}
