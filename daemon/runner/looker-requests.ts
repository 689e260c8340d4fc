/** What a runner asks of the process that looks for it. */
import type { Scalar } from '../formats/tfevents.ts';
import type { WholeRequest } from '../inspector/requests.ts';
import type { Limits } from '../inspector/wire.ts';
import type { FoundState } from './groups.ts';

/** Where checkpoints of a run may appear. */
export interface WatchedPlaces {
  root: string;
  /** The run's own folder. */
  dir: string;
  /** Patterns of the job; empty: whatever looks like a checkpoint. */
  checkpoints: readonly string[];
}

/** Files that are other ones than when generation `since` was told. Answered in parts, and a LookedAt. */
export interface LookAtFilesRequest {
  do: 'files';
  places: WatchedPlaces;
  since: number;
}

export interface FilesPart {
  changed: FoundState[];
  gone: string[];
}

export interface LookedAt {
  generation: number;
  /** All files were told, whatever was known before. */
  isWhole: boolean;
  /** There are more folders than are looked at. */
  truncated: boolean;
  /** Processor time, roughly. */
  tookMs: number;
}

/** New scalars of event files. `read`: how far each was read before; null: nothing was, and what is there is not wanted. */
export interface EventsRequest {
  do: 'events';
  root: string;
  read: [path: string, bytes: number][] | null;
}

export interface NewEvents {
  /** In order of steps. */
  scalars: Scalar[];
  read: [path: string, bytes: number][];
}

/** What the files of a checkpoint hold, by the names in them, and when they were made. Answered with KnownFiles. */
export interface KnowRequest {
  do: 'know';
  paths: string[];
}

export type LookerRequest = LookAtFilesRequest | EventsRequest | KnowRequest | WholeRequest;

const MEBIBYTE = 1 << 20;

/** A file system may take its time. */
export const FILES_LIMITS: Limits = { ms: 300_000, bytes: 1_024 * MEBIBYTE };
/** Beside a training there is neither memory nor time to be had for a file that wants much of them. */
export const KNOW_LIMITS: Limits = { ms: 60_000, processorMs: 15_000, bytes: 512 * MEBIBYTE };
export const LOOKER_HEAP_MEBIBYTES = 400;
/** Others go first: the training. */
export const LOOKER_NICENESS = 10;
