/** Messages about remotes: places that other machines push to and pull from. */
import * as v from 'valibot';
import type { Checkpoint, Run } from '../domain.ts';
import type { WireError } from '../errors.ts';
import { count, request, root, task, text, environment as variables } from './request.ts';

export interface RemoteSummary {
  name: string;
  url: string;
  /** Id of the remote itself, which all machines share. */
  id: string;
  addedAt: number;
  /** Time of the last fetch; null: never. */
  fetchedAt: number | null;
  /** Numbers as of then. */
  runs: number;
  checkpoints: number;
}

/** Result of trying a remote, one entry for each thing that it has to allow. */
export interface RemoteTest {
  steps: { does: string; ms: number; error: WireError | null }[];
  /** True if the remote refuses to write over an object when asked to; nothing relies on it. */
  refusesTaken: boolean;
}

/** Run on a remote, as of the last fetch. */
export interface RemoteRun {
  remote: string;
  run: Run;
  machine: string;
  sentAt: number;
  /** Number of its checkpoints there, and of those that are not here. */
  checkpoints: number;
  missing: number;
  /** Number that the run has here; null: it is not here. */
  number: number | null;
  newest: { id: string; step: number } | null;
}

const name = text;
/** Environment of whoever asks, for credentials; absent: that of the daemon. It stays in memory. */
const environment = v.optional(variables);

/** Adds a remote: tries it, and makes the place one if it is empty. */
export const remoteAdd = request<{ remote: RemoteSummary; test: RemoteTest; isNew: boolean }>()(
  'remote/add',
  v.object({
    root,
    name,
    url: text,
    /** Address, region and profile, for S3. */
    endpoint: v.optional(text),
    region: v.optional(text),
    profile: v.optional(text),
    environment,
  }),
);
export const remoteList = request<{ remotes: RemoteSummary[] }>()('remote/list', v.object({ root }));
export const remoteTest = request<RemoteTest>()('remote/test', v.object({ root, name, environment }));
/** Forgets a remote on this machine. What is there stays. */
export const remoteRemove = request<Record<string, never>>()('remote/remove', v.object({ root, name }));

export interface PushReport {
  remote: string;
  /** Checkpoints that were sent. */
  checkpoints: number;
  present: number;
  objects: number;
  bytes: number;
  /** Names of runs whose code is not in the store, and so could not be sent. */
  withoutCode: string[];
}
/** Pushes checkpoints that the remote does not have: those named, or all. `to` absent: the only remote. */
export const remotePush = request<PushReport>()(
  'remote/push',
  v.object({
    root,
    to: v.optional(name),
    targets: v.optional(v.pipe(v.array(text), v.maxLength(1_000))),
    environment,
    task,
  }),
);

export interface FetchReport {
  remote: string;
  runs: number;
  checkpoints: number;
  /** Number of checkpoints that were not known before. */
  fresh: number;
  problems: string[];
}
/** Reads what remotes have, without the content. `name` absent: all remotes. */
export const remoteFetch = request<{ fetched: FetchReport[] }>()(
  'remote/fetch',
  v.object({ root, name: v.optional(name), environment, task }),
);

/** Lists runs of remotes as of the last fetch, the newest first. */
export const remoteRuns = request<{ runs: RemoteRun[]; total: number }>()(
  'remote/runs',
  v.object({ root, name: v.optional(name), limit: v.optional(count) }),
);

export interface PullReport {
  /** Checkpoints that came in. */
  checkpoints: number;
  present: number;
  bytes: number;
  runs: Run[];
  /** Checkpoint that a target names, if there is one target and it names one. */
  checkpoint: Checkpoint | null;
  problems: string[];
}
/** Pulls `box`, `box/7` or `box/7@best`, after a fetch. */
export const remotePull = request<PullReport>()(
  'remote/pull',
  v.object({ root, targets: v.pipe(v.array(text), v.minLength(1), v.maxLength(1_000)), environment, task }),
);

export interface CollectReport {
  deleted: { objects: number; bytes: number };
  /** Objects that are noted, and can be deleted at `deletableAt` (null: none are). */
  noted: { objects: number; bytes: number };
  deletableAt: number | null;
}
export const remoteCollect = request<CollectReport>()(
  'remote/gc',
  v.object({ root, name, dryRun: v.optional(v.boolean()), environment, task }),
);

export interface RemoteCheck {
  /** Whole checkpoints. */
  checkpoints: number;
  objects: number;
  bytes: number;
  unused: { objects: number; bytes: number };
  /** At most a thousand. */
  problems: { key: string; problem: string }[];
}
/** Checks that each checkpoint is whole; with `data` also all bytes, which are downloaded for that. */
export const remoteCheck = request<RemoteCheck>()(
  'remote/fsck',
  v.object({ root, name, data: v.optional(v.boolean()), environment, task }),
);
