/** Requests from a runner to its looker process. */
import type { Scalar, SummaryMedium } from '../formats/tfevents.ts';
import type { WholeRequest } from '../inspector/requests.ts';
import type { Limits } from '../inspector/wire.ts';
import type { FoundState } from '../session/groups.ts';

/** Places where checkpoints of a run may appear. */
export interface WatchedPlaces {
  root: string;
  /** The run's own folder. */
  dir: string;
  /** Patterns from the job; empty: any file that looks like a checkpoint. */
  checkpoints: readonly string[];
}

/** Lists the files that have changed since generation `since`. Answered with FilesParts, then a LookedAt. */
export interface LookAtFilesRequest {
  do: 'files';
  places: WatchedPlaces;
  since: number;
}

export interface FilesPart {
  changed: FoundState[];
  gone: string[];
}

export interface ScanSummary {
  generation: number;
  /** True if the parts list all files, rather than changes. */
  isWhole: boolean;
  /** True if there are more folders than the limit. */
  truncated: boolean;
  /** Some of the files and folders whose names are not UTF-8, as far as text can name them. */
  unnameable: string[];
  /** Processor time, roughly. */
  tookMs: number;
}

/**
 * Reads new scalars from event files. `read`: how far each file was read before; null: the first call, which skips what
 * exists.
 */
export interface EventsRequest {
  do: 'events';
  root: string;
  read: [path: string, bytes: number][] | null;
}

export interface NewEvents {
  /** Sorted by step. */
  scalars: Scalar[];
  media: SummaryMedium[];
  read: [path: string, bytes: number][];
}

/** Inspects the files of a checkpoint by the names in them, and dates them. Answered with KnownFiles. */
export interface InspectRequest {
  do: 'inspect';
  paths: string[];
}

export type LookerRequest = LookAtFilesRequest | EventsRequest | InspectRequest | WholeRequest;

const MEBIBYTE = 1 << 20;

/** Generous, since a file system may be slow. */
export const FILES_LIMITS: Limits = { ms: 300_000, bytes: 1_024 * MEBIBYTE };
/** Strict, since a training runs on the same machine: a costly file must not take its memory or time. */
export const INSPECT_LIMITS: Limits = { ms: 60_000, processorMs: 15_000, bytes: 512 * MEBIBYTE };
export const LOOKER_HEAP_MEBIBYTES = 400;
/** Yields the processor to the training. */
export const LOOKER_NICENESS = 10;
