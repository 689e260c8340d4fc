/** The words of DESIGN as types. Times are milliseconds since the epoch, sizes bytes, durations seconds where named so. */

import type { Ingredient } from './ingredients.ts';

export type ParamValue = string | number | boolean | null | ParamValue[] | { [key: string]: ParamValue };
export type Params = Record<string, ParamValue>;

export type RunStatus =
  | 'queued'
  | 'starting'
  | 'running'
  | 'pausing'
  | 'paused'
  | 'completed'
  | 'failed'
  | 'stopped'
  /** The session's lock is free and there is no exit record. */
  | 'lost';

/** `queued` counts as live: it will start by itself. */
export const LIVE_STATUSES: readonly RunStatus[] = ['queued', 'starting', 'running', 'pausing'];
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
  /** What it is made of; absent: an older version took it. */
  ingredients?: Ingredient[] | null;
  proof: Proof | null;
  /** Digest of the training state alone: equal digests are bit-identical states. */
  stateDigest: string;
  /** The checkpoint this one's session started from or continued after; null for the first of a run. */
  parent: string | null;
  /** Last value of each metric at that step. */
  metrics: Record<string, number>;
  trashedAt: number | null;
}

export interface MetricSummary {
  last: number;
  lastStep: number;
  min: number;
  minStep: number;
  max: number;
  maxStep: number;
  count: number;
}

/** Of TensorFlow.js, the likely fastest first. */
export const BACKENDS = ['webgpu', 'tfjs-node-gpu', 'tfjs-node', 'wasm', 'cpu'] as const;
export type BackendName = (typeof BACKENDS)[number];

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
  /** A run without a checkpoint that lived under 60 s. */
  draft: boolean;
  branch: string | null;
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

export interface Session {
  id: string;
  run: string;
  /** 1 for the first launch of the run. */
  ordinal: number;
  purpose: 'train' | 'verify' | 'export';
  startedAt: number;
  endedAt: number | null;
  resumedFrom: { checkpoint: string; step: number } | null;
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
  /** What a switch of the branch's files waits for, for people; null: none is due. */
  switchWaits: string | null;
  live: number;
  runs: number;
}

export interface StoreUsage {
  objectsBytes: number;
  catalogBytes: number;
  sessionsBytes: number;
  /** Of `objectsBytes`: pages that will be used again before the file grows. */
  freeBytes: number;
  trashBytes: number;
  quotaBytes: number;
  checkpoints: number;
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

/** What a checkpoint file holds, without any of it being run. */
export interface FileInspection {
  format: 'torch' | 'torch (before 1.6)' | 'safetensors' | 'pickle' | 'npz' | 'hdf5' | 'keras';
  bytes: number;
  /** Of the framework that wrote it, where the file says so. */
  version: string | null;
  /** At most 5,000; `tensorCount` are all. */
  tensors: InspectedTensor[];
  tensorCount: number;
  /** Of all tensors, shared memory counted once. */
  elements: number;
  /** Hyper-parameters and other plain values by their place in the file. */
  values: { name: string; value: string | number | boolean | null }[];
  /** Classes and functions that the file names: shown by name, never loaded. */
  classes: { name: string; count: number }[];
  notes: string[];
  /** What the checkpoint is made of, where its `checkpoint.json` lies beside the file. */
  ingredients?: Ingredient[] | null;
}

export interface InspectedTensor {
  name: string;
  /** As safetensors calls it: F32, BF16, I64. */
  dtype: string;
  shape: number[];
  bytes: number;
  /** Name of an earlier tensor that shares its memory. */
  tiedTo: string | null;
  /** On request; null where it cannot be had. */
  statistics: TensorStatistics | null;
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

export type WireNumber = number | 'NaN' | 'Infinity' | '-Infinity';

/** JSON has no NaN and no infinities; as strings they survive with their meaning. */
export function toWireNumber(value: number): WireNumber {
  return Number.isFinite(value) ? value : (String(value) as WireNumber);
}

export function fromWireNumber(value: WireNumber): number {
  return typeof value === 'number' ? value : Number(value);
}
