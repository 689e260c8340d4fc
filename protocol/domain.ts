/** The words of DESIGN as types. Times are milliseconds since the epoch, sizes bytes, durations seconds where named so. */

import type { ErrorData } from './errors.ts';
import type { Ingredient } from './ingredients.ts';
import type { WireNumber } from './numbers.ts';

export type ParamValue = string | number | boolean | null | ParamValue[] | { [key: string]: ParamValue };
export type Params = Record<string, ParamValue>;

export type RunStatus =
  | 'queued'
  | 'starting'
  | 'running'
  | 'pausing'
  | 'stopping'
  | 'paused'
  | 'completed'
  | 'failed'
  | 'stopped'
  /** The session's lock is free and there is no exit record. */
  | 'lost';

/** `queued` counts as live: it will start by itself. */
export const LIVE_STATUSES: readonly RunStatus[] = ['queued', 'starting', 'running', 'pausing', 'stopping'];
export const RESUMABLE_STATUSES: readonly RunStatus[] = ['paused', 'failed', 'lost', 'stopped', 'completed'];

export type Grade = 'verified' | 'complete' | 'partial' | 'weights only';

/** Evidence that resuming from a checkpoint recomputes what was recorded, bit for bit. */
export interface Proof {
  /** `overlap`: steps computed twice after a kill. `replay`: `verify` recomputed up to the next checkpoint. */
  kind: 'overlap' | 'replay';
  verdict: 'equal' | 'state missing' | 'not deterministic';
  /** What the replay computed otherwise first, where it was noted. */
  cause?: string | null;
  /** How many steps were computed twice and compared. */
  steps: number;
  /** Device, back end and package versions that the proof holds for. */
  fingerprint: string;
  at: number;
}

export interface Checkpoint {
  id: string;
  run: string;
  session: string;
  step: number;
  epoch: number;
  createdAt: number;
  /** Size of the files. */
  bytes: number;
  /** What this checkpoint added to the store, after dedup and compression. */
  storedBytes: number;
  /** Why it was taken: `interval`, `steps`, `epoch`, `best`, `request`, `pause`, `signal`, `exception`, `end`. */
  reasons: string[];
  tags: string[];
  grade: Grade;
  /** What a partial checkpoint lacks. */
  missing: string[];
  /** Files of a script that others of their series have beside them: they may have been half written. */
  lacks?: string[];
  /** What it is made of; absent: an older version took it. */
  ingredients?: Ingredient[] | null;
  proof: Proof | null;
  /** Digest of the training state alone: equal digests are bit-identical states. */
  stateDigest: string;
  /** The checkpoint this one's session started from or continued after; null for the first of a run. */
  parent: string | null;
  /** Last value of each metric at that step. */
  metrics: Record<string, WireNumber>;
  trashedAt: number | null;
  /** Somebody took it out of the trash: it does not go there by itself again. */
  keep?: true;
}

export interface MetricSummary {
  /** The value at the highest step. */
  last: WireNumber;
  lastStep: number;
  /** Lowest of the finite values; null: there is none. */
  min: number | null;
  minStep: number | null;
  max: number | null;
  maxStep: number | null;
  count: number;
  /** Number of those that are NaN or infinite. */
  notFinite: number;
}

/** Of TensorFlow.js, the likely fastest first. */
export const BACKENDS = ['webgpu', 'tfjs-node-gpu', 'tfjs-node', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface Waiting {
  /** Another run; variables or words that only a shell knows; its own code back in the tree, or files of its branch. */
  for: 'device' | 'environment' | 'code' | 'files';
  /** Number of the run before it in the queue, or of one that lives; null: it is of another project. */
  behind: number | null;
}

export interface Run {
  id: string;
  /** Counts up within a project; part of the readable name. */
  number: number;
  /** `digits #14`, or what the user called it. */
  name: string;
  /** What differs from the previous run of the job: `lr 3e-4`. */
  label: string;
  note: string;
  job: string;
  status: RunStatus;
  /** Why it is in this status, for people; empty when there is nothing to say. */
  reason: string;
  /** What a queued run waits for; null in any other status. */
  waiting?: Waiting | null;
  /** Code of the error that it failed with; null where there was none, or one that nobody foresaw. */
  failure: string | null;
  /** A run without a checkpoint that lived under 60 s. */
  draft: boolean;
  /** By the name that it has now. Null: on a detached HEAD, or without git. */
  branch: string | null;
  /** Of ours, which the branch keeps when it is renamed; null also where none of today's branches is known to be it. */
  branchId: string | null;
  commit: string | null;
  /** The work tree differed from `commit` when the run started. */
  dirty: boolean;
  /** Tree id of the code snapshot in the store's shadow repository; null: code not kept. */
  code: string | null;
  /** Files too large for the code snapshot, with their sizes. */
  codeLeftOut: string[];
  params: Params;
  /** A TensorFlow.js module, or a command in a terminal of its own. */
  kind: 'module' | 'command';
  /** What is run, where the run has no job; words that look like secrets are masked. `cwd` is relative to the project. */
  command: { words: string[]; cwd: string } | null;
  /** It saves when asked and pauses at a step boundary. False: a script that saves by itself only. */
  cooperative: boolean;
  /** A resume runs its command from the beginning, with the checkpoint's files in place: nothing tells it to load them. */
  startsAnew: boolean;
  /** Names of params that were given by hand: the job's file says nothing about them. */
  overrides: string[];
  seed: number;
  /** The back end that was asked for, and the one in use once started. */
  backend: string;
  /** Why it is this one, in a line; empty where somebody asked for it. */
  backendReason: string;
  createdAt: number;
  startedAt: number | null;
  endedAt: number | null;
  step: number;
  epoch: number;
  /** Null while unknown. */
  totalSteps: number | null;
  stepsPerEpoch: number | null;
  /** From the present session's own pace; null when not running or unknown. */
  etaSeconds: number | null;
  metrics: Record<string, MetricSummary>;
  monitor: Monitor | null;
  /** The checkpoint that a fork started from. */
  parent: { run: string; checkpoint: string; step: number } | null;
  checkpoints: number;
  /** The one that a resume goes on from: the newest, of those that have not diverged if there is one. */
  lastCheckpoint: { id: string; step: number; grade: Grade } | null;
  session: string | null;
  sessions: number;
  /** What a resume has to compute again: steps done since the newest checkpoint. */
  notices: Notice[];
  restart: { max: number; used: number };
  trashedAt: number | null;
}

export interface Monitor {
  metric: string;
  mode: 'min' | 'max';
}

/** What is in the tree when something is launched. */
export interface CodeIdentity {
  branch: string | null;
  branchId?: string | null;
  commit: string | null;
  dirty: boolean;
  code: string | null;
}

export interface Session {
  id: string;
  run: string;
  /** 1 for the first launch of the run. */
  ordinal: number;
  purpose: 'train' | 'verify' | 'export';
  startedAt: number;
  endedAt: number | null;
  resumedFrom: { checkpoint: string; step: number } | null;
  /** Files that were in place for a script which nothing tells to load them: it may go on from there by itself. */
  offered?: { checkpoint: string; step: number } | null;
  /** First step that its metrics or files were of; null: none was told yet. */
  firstStep?: number | null;
  /** The code that this launch has run, where it may be another than its run's. */
  identity?: CodeIdentity;
  /** Facts that the trainer reported: back end, device, versions, thread count. */
  environment: Record<string, string>;
}

/** Something a run wants a person to know. */
export interface Notice {
  code: string;
  level: 'info' | 'warning' | 'error';
  text: string;
  step: number | null;
  at: number;
}

export interface Project {
  root: string;
  store: string;
  branch: string | null;
  /** Without git there is one branch, shown as "(no git)". */
  git: boolean;
  trusted: boolean;
  /** Why git does not tell the branch, when it did before; null: it does, or there is none. */
  gitProblem: { message: string; data: ErrorData['gitUnusable'] } | null;
  /** What a person should know of where its store is; a paragraph each. */
  advice: string[];
  /** Its store was made by another user or on another machine, or is a copy, and nobody has said that it may be used. */
  madeElsewhere: boolean;
  /** What a switch of the branch's files waits for, for people; null: none is due. */
  switchWaits: string | null;
  live: number;
  runs: number;
  /** Queued runs whose environment only a client knows. */
  needEnvironment: number;
}

export interface StoreUsage {
  objectsBytes: number;
  catalogBytes: number;
  /** Logs, events, and checkpoints that are not taken in yet. */
  sessionsBytes: number;
  /** Folders of runs for files of their own; the quota has nothing to do with them. */
  filesBytes: number;
  /** Files that left the tree with their branch; the quota has nothing to do with them either. */
  stashesBytes: number;
  /** Code snapshots, catalogs that were set aside, and what else there is. */
  otherBytes: number;
  /** What killed writers left, and checkpoints that cannot be stored: it goes by itself. */
  leftBytes: number;
  /** Of `objectsBytes`: pages that will be used again before the file grows. */
  freeBytes: number;
  trashBytes: number;
  quotaBytes: number;
  /** Those that are not in the trash. */
  checkpoints: number;
  trashedCheckpoints: number;
}

/** The points of one metric along a run's lineage. Arrays have equal length; non-finite values are strings on the wire. */
export interface MetricSeries {
  name: string;
  steps: number[];
  values: WireNumber[];
  /** Seconds since the run's first start. */
  times: number[];
  /** How many points there were before down-sampling. */
  total: number;
}

/**
 * A checkpoint file's contents, without any of them being run: the first page, or the one after a cursor. Long names and
 * texts are shortened. What is said of the whole file is on each page.
 */
export interface FileInspection {
  format: 'torch' | 'torch (before 1.6)' | 'torch distributed' | 'safetensors' | 'pickle' | 'npz' | 'hdf5' | 'keras';
  bytes: number;
  /** Of the framework that wrote it, where the file says so. */
  version: string | null;
  /** Of this page. */
  tensors: InspectedTensor[];
  /** Of the whole file. */
  tensorCount: number;
  /** Tensors that the filter leaves; all without one. */
  foundCount: number;
  /** Of all tensors, shared memory counted once. */
  elements: number;
  /** Hyper-parameters and other plain values by their place in the file. Of this page; at most 5,000 in all. */
  values: { name: string; value: string | number | boolean | null }[];
  valueCount: number;
  /** Classes and functions that the file names: shown by name, never loaded. Of this page; at most 5,000 in all. */
  classes: { name: string; count: number }[];
  classCount: number;
  /** On the first page. */
  notes: string[];
  /** What the checkpoint is made of, where its `checkpoint.json` lies beside the file. On the first page. */
  ingredients?: Ingredient[] | null;
  /** Where the next page begins; null: this was the last one. */
  next: InspectionCursor | null;
}

export interface InspectionCursor {
  tensors: number;
  values: number;
  classes: number;
  /** The file as it was: pages of one that has changed since do not fit together. */
  stamp: string;
}

export interface InspectedTensor {
  name: string;
  /** As safetensors calls it: F32, BF16, I64. */
  dtype: string;
  shape: number[];
  /** Of its elements, each counted; null: the type is not known. */
  bytes: number | null;
  /** Name of an earlier tensor that shares its memory. */
  tiedTo: string | null;
  /** On request; null where it cannot be had, for the reason in `noStatistics`. */
  statistics: TensorStatistics | null;
  noStatistics: string | null;
  /** Something to know of it: it has no data, it is a view. */
  remark: string | null;
}

/** Of the finite elements; NaN and infinities are counted. */
export interface TensorStatistics {
  min: number;
  max: number;
  mean: number;
  std: number;
  zeros: number;
  nan: number;
  infinite: number;
}
