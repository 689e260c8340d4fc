/** Messages about remotes: places that other machines push to and pull from. */
import * as v from 'valibot';
import type { Checkpoint, Run } from '../domain.ts';
import type { WireError } from '../errors.ts';
import { PUSH_CHOICES, type PushChoice } from '../pushing.ts';
import { count, type Notification, request, root, task, text, environment as variables } from './request.ts';

/** State of automatic pushes to a remote. */
export interface RemoteState {
  /** Number of runs of which something waits to be sent. */
  waiting: number;
  /** Push that is under way; null: none. */
  sending: { run: string; done: number; total: number } | null;
  /** Trouble since when nothing could be sent; null: there is none. */
  failing: { since: number; message: string } | null;
}

export interface RemoteSettings {
  /** Checkpoints that are sent by themselves, of runs whose job does not say. */
  push: PushChoice;
  /** Limit of what is sent and received in a second; null: there is none. */
  bytesPerSecond: number | null;
}

export interface RemoteSummary extends RemoteState, RemoteSettings {
  name: string;
  url: string;
  /** Id of the remote itself, which all machines share. */
  id: string;
  addedAt: number;
  /** True if everything is encrypted before it is sent. */
  isSealed: boolean;
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
const rate = v.nullable(v.pipe(v.number(), v.minValue(1)));
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
    push: v.optional(v.picklist(PUSH_CHOICES)),
    bytesPerSecond: v.optional(rate),
    /** True encrypts everything before it is sent, with the key of a file; without a file it is in the keyring. */
    encrypt: v.optional(v.boolean()),
    keyFile: v.optional(text),
    environment,
  }),
);
/** Changes settings of a remote on this machine. */
export const remoteChange = request<RemoteSummary>()(
  'remote/change',
  v.object({ root, name, push: v.optional(v.picklist(PUSH_CHOICES)), bytesPerSecond: v.optional(rate) }),
);
/** Reports that pushes to remotes have begun, advanced, failed or ended. */
export const remotesChanged: Notification<{ store: string; remotes: (RemoteState & { name: string })[] }> = {
  method: 'remote/changed',
};
/** Remote that `trainstash.json` names. Nothing is sent there before somebody has accepted it on this machine. */
export interface RemoteOffer {
  name: string;
  url: string;
  endpoint?: string | undefined;
  region?: string | undefined;
  profile?: string | undefined;
  /** Jobs whose checkpoints would be sent there by themselves. */
  jobs: string[];
  /** URL of the remote that has this name on this machine; null: there is none. */
  accepted: string | null;
  /** True once somebody has said no to this very URL. */
  declined: boolean;
}

/** Lists the remotes of this machine, and those that `trainstash.json` offers beside them. */
export const remoteList = request<{ remotes: RemoteSummary[]; offers: RemoteOffer[] }>()(
  'remote/list',
  v.object({ root }),
);
/** Remembers that an offer was declined, so that nobody is asked about it again. */
export const remoteDecline = request<Record<string, never>>()('remote/decline', v.object({ root, name, url: text }));
export const remoteTest = request<RemoteTest>()('remote/test', v.object({ root, name, environment }));
/** Returns the key of an encrypted remote, to be carried to another machine. */
export const remoteKey = request<{ key: string }>()('remote/key', v.object({ root, name, environment }));
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

/** Lists runs of remotes as of the last fetch, the newest first: all, or those of a job, and of a branch. */
export const remoteRuns = request<{ runs: RemoteRun[]; total: number }>()(
  'remote/runs',
  v.object({ root, name: v.optional(name), job: v.optional(text), branch: v.optional(text), limit: v.optional(count) }),
);

/** Tells which checkpoints of a run are on which remotes, as far as this machine knows, and where it waits to be sent. */
export const remoteMarks = request<{ there: Record<string, string[]>; waiting: string[] }>()(
  'remote/marks',
  v.object({ root, run: text }),
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
