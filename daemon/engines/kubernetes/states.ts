/** Reads what `kubectl get jobs,pods -o json` prints. Pure. */
import * as v from 'valibot';
import { namedRecord } from '../../../protocol/any-names.ts';
import type { JobEnd, JobState } from '../contract.ts';
import { KEY_LABEL } from './manifest.ts';

const conditions = v.optional(
  v.array(v.object({ type: v.string(), status: v.string(), reason: v.optional(v.string(), '') })),
  [],
);
const itemSchema = v.object({
  kind: v.string(),
  metadata: v.object({
    name: v.string(),
    creationTimestamp: v.optional(v.string(), ''),
    deletionTimestamp: v.optional(v.string()),
    labels: v.optional(namedRecord(v.string(), v.string()), {}),
    ownerReferences: v.optional(v.array(v.object({ name: v.string() })), []),
  }),
  spec: v.optional(v.object({ nodeName: v.optional(v.string(), '') }), { nodeName: '' }),
  status: v.optional(
    v.object({
      phase: v.optional(v.string(), ''),
      conditions,
      containerStatuses: v.optional(
        v.array(
          v.object({
            state: v.optional(v.object({ waiting: v.optional(v.object({ reason: v.optional(v.string(), '') })) }), {}),
          }),
        ),
        [],
      ),
    }),
    { phase: '', conditions: [], containerStatuses: [] },
  ),
});
type Item = v.InferOutput<typeof itemSchema>;
const listSchema = v.object({ items: v.array(v.unknown()) });

/** Parses a list; null: it is none. Items of other kinds, or of another form, are left out. */
function itemsIn(output: string): Item[] | null {
  const list = v.safeParse(listSchema, parsed(output));
  if (!list.success) return null;
  return list.output.items.flatMap((item) => {
    const read = v.safeParse(itemSchema, item);
    return read.success ? [read.output] : [];
  });
}

/** Returns the states by job; null: the output is no list. */
export function statesIn(output: string): Map<string, JobState> | null {
  const items = itemsIn(output);
  if (!items) return null;
  const pods = Map.groupBy(
    items.filter(({ kind }) => kind === 'Pod'),
    ({ metadata }) => metadata.ownerReferences[0]?.name ?? '',
  );
  const jobs = items.filter(({ kind }) => kind === 'Job');
  return new Map(jobs.map((job) => [job.metadata.name, stateOf(job, pods.get(job.metadata.name) ?? [])]));
}

/** Lists the jobs of a submission in the order of its places. */
export function jobsWith(key: string, output: string): string[] {
  const own = (itemsIn(output) ?? []).filter(
    ({ kind, metadata }) => kind === 'Job' && metadata.labels[KEY_LABEL] === key,
  );
  return own.map(({ metadata }) => metadata.name).sort((a, b) => numberOf(a) - numberOf(b));
}

function numberOf(name: string): number {
  return Number(name.split('-').at(-1));
}

function stateOf(job: Item, pods: readonly Item[]): JobState {
  const newest = [...pods]
    .sort((a, b) => (a.metadata.creationTimestamp < b.metadata.creationTimestamp ? -1 : 1))
    .at(-1);
  const nodes = newest?.spec.nodeName ?? '';
  const restarts = Math.max(0, pods.length - 1);
  const told = (type: string) => job.status.conditions.find((one) => one.type === type && one.status === 'True');
  const failed = told('Failed');
  const end = told('Complete') ? 'completed' : failed ? endOf(failed.reason) : null;
  // A pod that still ends may still train.
  const isAlive = pods.some(({ status }) => status.phase === 'Running');
  if (end && !isAlive) return { phase: 'ended', reason: failed?.reason ?? '', nodes, restarts, end };
  if (job.metadata.deletionTimestamp !== undefined && !isAlive)
    return { phase: 'ended', reason: '', nodes, restarts, end: 'cancelled' };
  if (isAlive) return { phase: 'running', reason: '', nodes, restarts };
  const why =
    newest?.status.containerStatuses.map(({ state }) => state.waiting?.reason).find(Boolean) ??
    newest?.status.conditions.find(({ status }) => status === 'False')?.reason;
  return { phase: 'pending', reason: why ?? '', nodes: '', restarts };
}

function endOf(reason: string): JobEnd {
  return reason === 'DeadlineExceeded' ? 'timeout' : 'failed';
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
