/** Messages about the store as a whole. */
import * as v from 'valibot';
import type { Checkpoint } from '../domain.ts';
import type { StashSummary } from './branch.ts';
import { request, root, text } from './request.ts';

/** Days for which removed items can be restored; a store at its quota deletes them earlier. */
export const TRASH_DAYS = 7;

/** Everything that emptying the trash deletes for good. Lists are bounded; counts and bytes cover everything. */
export interface Trash {
  runs: {
    id: string;
    number: number;
    name: string;
    branch: string | null;
    trashedAt: number;
    /** Number of checkpoints that were trashed with the run. */
    checkpoints: number;
    bytes: number;
  }[];
  /** Trashed checkpoints of runs that are not in the trash. `run` and `number` identify the run. */
  checkpoints: {
    id: string;
    run: string;
    number: number;
    branch: string | null;
    step: number;
    bytes: number;
    trashedAt: number;
  }[];
  /** Dropped stashes. */
  stashes: StashSummary[];
  counts: { runs: number; checkpoints: number };
  /** Size of all trashed checkpoints before deduplication. */
  bytes: number;
}
export const storeTrash = request<Trash>()('store/trash', v.object({ root }));

export const storeGc = request<{ removedCheckpoints: number; removedChunks: number; returnedBytes: number }>()(
  'store/gc',
  v.object({ root, emptyTrash: v.optional(v.boolean()) }),
);

/**
 * Makes the store as small as possible, which otherwise happens when it is idle. Its task counts bytes of checkpoints.
 * `noRoom`: part of the work was left because the disk is nearly full.
 */
export const storePack = request<{ savedBytes: number; noRoom: boolean }>()(
  'store/pack',
  v.object({ root, task: v.optional(text) }),
);

/** A checkpoint with the reasons for keeping it; without a reason it is removed once there are newer ones. */
export interface KeptCheckpoint {
  checkpoint: Checkpoint;
  reasons: string[];
}
/** A run with its checkpoints. `bytes` is before deduplication. */
export interface KeptRun {
  run: string;
  name: string;
  branch: string | null;
  bytes: number;
  /** The newest ones. */
  checkpoints: KeptCheckpoint[];
  /** Number of older ones that are not listed, since an answer is bounded. */
  more: number;
}
/** Lists what is kept and why, for the 50 runs with the most bytes, or for one run. */
export const storeKept = request<{ runs: KeptRun[] }>()('store/kept', v.object({ root, run: v.optional(text) }));

export interface FsckReport {
  chunks: number;
  checkpoints: number;
  bytes: number;
  problems: { checkpoint: string | null; chunk: string | null; problem: string; whole: string | null }[];
  rebuilt: { runs: number; checkpoints: number; notRestored: string[] } | null;
}
/** Reads everything that is stored. `full` compares SHA-256 beside the checksums. */
export const storeFsck = request<FsckReport>()(
  'store/fsck',
  v.object({ root, rebuild: v.optional(v.boolean()), full: v.optional(v.boolean()) }),
);

export interface ScrubReport {
  /** Places where secrets are or were in clear; each secret is shortened so that its owner can recognise it. */
  findings: { place: string; secrets: string[] }[];
  /** Number of places that are not listed, since an answer is bounded. */
  more: number;
  masked: boolean;
  /** Names of live runs, whose records were left alone. */
  live: string[];
  /** Ids of checkpoints that have params that look like secrets inside their own files, which never change. */
  inside: string[];
  /** Older copies of the catalog that cannot be opened. */
  unreadable: string[];
  /** Files that still contain one of the secrets after masking. */
  remaining: string[];
}

/** Finds secrets that older versions wrote in clear, and masks them with `apply`. `logs`: also in the output of scripts. */
export const storeScrub = request<ScrubReport>()(
  'store/scrub',
  v.object({ root, apply: v.boolean(), logs: v.optional(v.boolean()) }),
);

/** Writes all checkpoints as plain files and metrics as CSV, then removes the store. */
export const storeEject = request<{ directory: string; checkpoints: number; bytes: number }>()(
  'store/eject',
  v.object({ root, directory: text }),
);
