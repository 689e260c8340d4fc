/** Domain types. Times are milliseconds since the epoch, sizes are bytes, durations are seconds where the name says so. */

import type { Allocation } from './allocation.ts';
import type { GpuDemand } from './devices.ts';
import type { EngineState } from './engines.ts';
import type { ErrorData } from './errors.ts';
import type { Ingredient } from './ingredients.ts';
import type { WireNumber } from './numbers.ts';
import type { Rollback } from './rollback.ts';
import type { RunSweep } from './sweep.ts';

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

export type Grade = 'verified' | 'complete' | 'partial' | 'weights only';

/** Evidence that resuming from a checkpoint recomputes what was recorded, bit for bit. */
export interface Proof {
  /** `overlap`: steps computed twice after a kill. `replay`: `verify` recomputed up to the next checkpoint. */
  kind: 'overlap' | 'replay';
  verdict: 'equal' | 'state missing' | 'not deterministic';
  /** First difference that the replay computed, where it was noted. */
  cause?: string | null;
  /** Number of steps that were computed twice and compared. */
  steps: number;
  /** Device, backend and package versions that the proof holds for. */
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
  /** Bytes that this checkpoint added to the store, after deduplication and compression. */
  storedBytes: number;
  /** Reasons for taking it: `interval`, `steps`, `epoch`, `best`, `request`, `pause`, `signal`, `exception`, `end`. */
  reasons: string[];
  tags: string[];
  grade: Grade;
  /** Parts that a partial checkpoint lacks. */
  missing: string[];
  /** Files that other checkpoints of a script's series have and this one lacks: it may have been half written. */
  lacks?: string[];
  /** Parts of the state; absent: an older version took the checkpoint. */
  ingredients?: Ingredient[] | null;
  proof: Proof | null;
  /** Digest of the training state alone; equal digests mean bit-identical states. */
  stateDigest: string;
  /** Checkpoint that this one's session started from or continued after; null for the first of a run. */
  parent: string | null;
  /** Last value of each metric at that step. */
  metrics: Record<string, WireNumber>;
  trashedAt: number | null;
  /** Set once a person has taken it out of the trash: retention never trashes it again. */
  keep?: true;
  /** Set while the user has pinned the checkpoint, by itself or with its run: it is never deleted. */
  pinned?: 'checkpoint' | 'run';
  /** Trouble that its state leads to, as a rollback found out. It does not count as good, regardless of its metrics. */
  trouble?: 'nan' | 'spike';
}

export interface MetricSummary {
  /** Value at the highest step. */
  last: WireNumber;
  lastStep: number;
  /** Lowest finite value; null: there is none. */
  min: number | null;
  minStep: number | null;
  max: number | null;
  maxStep: number | null;
  count: number;
  /** Number of values that are NaN or infinite. */
  notFinite: number;
}

/** TensorFlow.js backends, the presumably fastest first. */
export const BACKENDS = ['webgpu', 'tensorflow', 'tfjs-node-gpu', 'tfjs-node', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

export interface Waiting {
  /**
   * Subject of the wait: devices; variables or words that only a shell knows; the run's own code in the tree; files of its branch;
   * the end of another run; a time; a request to go on, since the queue or the run was paused in it; an engine, which starts it.
   */
  for: 'device' | 'environment' | 'code' | 'files' | 'run' | 'time' | 'request' | 'engine';
  /** Number of the run that it waits behind: the one before it in the queue, or a live one. Null: a run of another project. */
  behind: number | null;
}

export interface Run {
  id: string;
  /** Number that counts up within a project; part of the readable name. */
  number: number;
  /** `digits #14`, or the name that the user gave. */
  name: string;
  /** Difference from the previous run of the job: `lr 3e-4`. */
  label: string;
  note: string;
  job: string;
  status: RunStatus;
  /** Reason for the status, for people; may be empty. */
  reason: string;
  /** Subject of a queued run's wait; null in any other status. */
  waiting?: Waiting | null;
  /** Code of the error that ended the run; null: there was none, or it was unexpected. */
  failure: string | null;
  /** True for a run without a checkpoint that lived less than 60 s. */
  draft: boolean;
  /** Current name of the branch. Null: detached HEAD, or no git. */
  branch: string | null;
  /** Trainstash's id of the branch, which survives a rename; null also if none of the current branches is known to be it. */
  branchId: string | null;
  commit: string | null;
  /** True if the working tree differed from `commit` when the run started. */
  dirty: boolean;
  /** Tree id of the code snapshot in the store's shadow repository; null: code not kept. */
  code: string | null;
  /** Files too large for the code snapshot, with their sizes. */
  codeLeftOut: string[];
  params: Params;
  /** A TensorFlow.js module, or a command in a terminal of its own. */
  kind: 'module' | 'command';
  /** Command of a run without a job; words that look like secrets are masked. `cwd` is relative to the project. */
  command: { words: string[]; cwd: string } | null;
  /** True if the run saves on request and pauses at a step boundary; false: a script that only saves by itself. */
  cooperative: boolean;
  /** True if a resume restarts the command with the checkpoint's files in place, but nothing tells the script to load them. */
  startsAnew: boolean;
  /** Names of params that were set explicitly and are not in the job's file. */
  overrides: string[];
  seed: number;
  /** Requested backend; once the run has started, the one in use. */
  backend: string;
  /** Reason for this backend in one line; empty if it was requested. */
  backendReason: string;
  createdAt: number;
  startedAt: number | null;
  endedAt: number | null;
  step: number;
  epoch: number;
  /** Null while unknown. */
  totalSteps: number | null;
  stepsPerEpoch: number | null;
  /** Estimate from the current session's own pace; null: not running, or unknown. */
  etaSeconds: number | null;
  metrics: Record<string, MetricSummary>;
  monitor: Monitor | null;
  /** Checkpoint that a fork started from. */
  parent: { run: string; checkpoint: string; step: number } | null;
  checkpoints: number;
  /** Checkpoint that a resume continues from: the newest one that has not diverged, else the newest. */
  lastCheckpoint: { id: string; step: number; grade: Grade } | null;
  session: string | null;
  sessions: number;
  notices: Notice[];
  restart: { max: number; used: number };
  trashedAt: number | null;
  /** GPUs that it wants; absent: the whole machine. */
  gpu?: GpuDemand | undefined;
  /** State on the engine that it was sent to; absent: it runs here. */
  engine?: EngineState | null;
  /** GPUs that its newest session was given; null or absent: nothing was said to its process. */
  devices?: number[] | null;
  /** Set for a run that went before all others. */
  urgent?: true;
  /** Hours of a session, and step of the run, after which it is paused. */
  limits?: { hours?: number | undefined; steps?: number | undefined };
  /** Set while the user has pinned the run: nothing of it is deleted. */
  pinned?: true;
  /** Remote that it came from; absent: it began here. */
  origin?: RunOrigin;
  /** Tool that has recorded the run, and the place that it was imported from; absent: it was trained here. */
  imported?: { tool: string; path: string };
  /** Automatic rollbacks, the oldest first. */
  rollbacks?: Rollback[];
  /** Number of them since a person has started or resumed the run. */
  rolledBack?: number;
  /** Sweep that it belongs to. */
  sweep?: RunSweep;
}

/** Facts about a run that came from a remote, as of the newest record that was pulled. */
export interface RunOrigin {
  remote: string;
  /** Machine that sent the record, the number that the run has there, and the time. */
  machine: string;
  number: number;
  sentAt: number;
  /** True if it was training there at that time. */
  wasLive: boolean;
}

export interface Monitor {
  metric: string;
  mode: 'min' | 'max';
}

/** Code in the tree at launch. */
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
  /** Position in the run, 1 for its first launch. */
  ordinal: number;
  purpose: 'train' | 'verify' | 'export';
  startedAt: number;
  endedAt: number | null;
  resumedFrom: { checkpoint: string; step: number } | null;
  /** Checkpoint whose files were in place for a script that is not told to load them: it may continue from there by itself. */
  offered?: { checkpoint: string; step: number } | null;
  /** First step of its metrics or files; null: none was reported yet. */
  firstStep?: number | null;
  /** Set where it computes other values on purpose: with other params than its checkpoint's, or without some batches. */
  isChanged?: true;
  /** Code that this launch ran, if it may differ from the run's. */
  identity?: CodeIdentity;
  /** Allocation of a scheduler that it ran in. */
  allocation?: Allocation | null;
  /** Facts that the trainer reported: backend, device, versions, thread count. */
  environment: Record<string, string>;
}

/** A message from a run to a person. */
export interface Notice {
  code: string;
  level: 'info' | 'warning' | 'error';
  text: string;
  step: number | null;
  at: number;
  /** Number of steps that were computed twice and are equal; only `verified` has it. */
  equalSteps?: number;
}

export interface Project {
  root: string;
  store: string;
  branch: string | null;
  /** False without git: there is one branch then, shown as "(no git)". */
  git: boolean;
  trusted: boolean;
  /** Reason why git no longer reports the branch; null: it does, or there is no git. */
  gitProblem: { message: string; data: ErrorData['gitUnusable'] } | null;
  /** Notes on the location of the store, one paragraph each. */
  advice: string[];
  /** True if another user or machine made the store, or it is a copy, and nobody has accepted it yet. */
  madeElsewhere: boolean;
  /** Reason why the switch of the branch's files waits, for people; null: no switch is due. */
  switchWaits: string | null;
  live: number;
  runs: number;
  /** Number of queued runs whose environment only a client knows. */
  needEnvironment: number;
}

export interface StoreUsage {
  objectsBytes: number;
  catalogBytes: number;
  /** Bytes of logs, events and checkpoints that are not stored yet. */
  sessionsBytes: number;
  /** Bytes of the runs' folders for their own files; they do not count towards the quota. */
  filesBytes: number;
  /** Bytes of files that left the tree with their branch; they do not count towards the quota either. */
  stashesBytes: number;
  /** Bytes of code snapshots, catalogs that were set aside, and the rest. */
  otherBytes: number;
  /** Bytes left by killed writers and by checkpoints that cannot be stored; they are removed automatically. */
  leftBytes: number;
  /** Part of `objectsBytes` in free pages, which are reused before the file grows. */
  freeBytes: number;
  trashBytes: number;
  quotaBytes: number;
  /** Number of checkpoints outside the trash. */
  checkpoints: number;
  trashedCheckpoints: number;
}

/** Points of one metric along a run's lineage. The arrays have equal length; non-finite values are strings on the wire. */
export interface MetricSeries {
  name: string;
  steps: number[];
  values: WireNumber[];
  /** Seconds since the run's first start. */
  times: number[];
  /** Number of points before down-sampling. */
  total: number;
}

/**
 * One page of a checkpoint file's contents; nothing in the file is executed. Long names and texts are shortened. Facts about
 * the whole file are on each page.
 */
export interface FileInspection {
  format:
    | 'torch'
    | 'torch (before 1.6)'
    | 'torch distributed'
    | 'safetensors'
    | 'pickle'
    | 'npz'
    | 'hdf5'
    | 'keras'
    | 'tensorflow';
  bytes: number;
  /** Version of the framework that wrote the file, if the file records it. */
  version: string | null;
  /** Tensors of this page. */
  tensors: InspectedTensor[];
  /** Number of tensors in the whole file. */
  tensorCount: number;
  /** Number of tensors that match the filter; all without a filter. */
  foundCount: number;
  /** Number of elements of all tensors; shared memory counts once. */
  elements: number;
  /** Hyperparameters and other plain values on this page, named by their path in the file; at most 5,000 in the file. */
  values: { name: string; value: string | number | boolean | null }[];
  valueCount: number;
  /** Classes and functions on this page that the file refers to: listed, never loaded; at most 5,000 in the file. */
  classes: { name: string; count: number }[];
  classCount: number;
  /** Notes on the file; on the first page only. */
  notes: string[];
  /** Parts of the state, if the checkpoint's `checkpoint.json` is beside the file; on the first page only. */
  ingredients?: Ingredient[] | null;
  /** Start of the next page; null: this is the last one. */
  next: InspectionCursor | null;
}

export interface InspectionCursor {
  tensors: number;
  values: number;
  classes: number;
  /** Stamp of the file's version: pages of a file that has changed since do not fit together. */
  stamp: string;
}

export interface InspectedTensor {
  name: string;
  /** Element type in the notation of safetensors: F32, BF16, I64. */
  dtype: string;
  shape: number[];
  /** Size of all elements; null: the type is unknown. */
  bytes: number | null;
  /** Name of an earlier tensor that shares its memory. */
  tiedTo: string | null;
  /** Statistics if they were requested; null: not available, for the reason in `noStatistics`. */
  statistics: TensorStatistics | null;
  noStatistics: string | null;
  /** Remark on the tensor: it has no data, it is a view. */
  remark: string | null;
}

/** Statistics of the finite elements, with counts of NaN and infinities. */
export interface TensorStatistics {
  min: number;
  max: number;
  mean: number;
  std: number;
  zeros: number;
  nan: number;
  infinite: number;
}
