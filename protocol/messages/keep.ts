/** Messages about what is kept for good, and about what will be deleted. */
import * as v from 'valibot';
import type { Checkpoint, Run } from '../domain.ts';
import type { ExportFile } from '../export.ts';
import { environment, request, root, task, text } from './request.ts';

/** A run or a checkpoint whose pin has changed; the other one is null. */
export interface Pinned {
  run: Run | null;
  checkpoint: Checkpoint | null;
}

/**
 * Pins runs and checkpoints: neither retention, the quota nor `rm` deletes them until `remove` takes the pins away. All are
 * changed, or none if one of them is not found.
 */
export const pinSet = request<{ pinned: Pinned[] }>()(
  'pin/set',
  v.object({
    root,
    targets: v.pipe(v.array(text), v.minLength(1), v.maxLength(1_000)),
    remove: v.optional(v.boolean()),
  }),
);

/** A promoted checkpoint: `models/NAME@VERSION` names it wherever a checkpoint is expected. */
export interface PromotedModel {
  /** `models/NAME@VERSION`. */
  model: string;
  /** Absolute path of the folder with the model and its card. */
  directory: string;
  files: ExportFile[];
  bytes: number;
  /** Licence on the card; null: nobody has stated one. */
  license: string | null;
  notes: string[];
  checkpoint: Checkpoint;
}

/**
 * Makes a named model of a checkpoint: a folder with its weights and a card (`README.md`, `card.json`). Without a version the
 * next free number is taken. Rejects with `outputExists` where the version is taken; then nothing has changed.
 */
export const modelPromote = request<PromotedModel>()(
  'model/promote',
  v.object({
    root,
    source: text,
    name: text,
    version: v.optional(text),
    /** Format of the exported model; absent: safetensors if possible, else the checkpoint's own files. */
    format: v.optional(text),
    /** Folder to create; absent: `models/NAME@VERSION` in the project. */
    directory: v.optional(text),
    license: v.optional(text),
    note: v.optional(text),
    environment,
    interpreter: v.optional(text),
    task,
  }),
);

/** Everything that the next `store/gc` would delete. Lists are bounded; counts and bytes cover everything. */
export interface GcPlan {
  runs: { id: string; number: number; name: string; trashedAt: number }[];
  checkpoints: { id: string; run: string; step: number; bytes: number; trashedAt: number }[];
  counts: { runs: number; checkpoints: number };
  /** Bytes of chunks that nothing else refers to: what the deletion frees. */
  freedBytes: number;
  /** Trashed checkpoints that stay for now, and when the first of them expires; null: there are none. */
  later: { checkpoints: number; firstExpiresAt: number | null };
  /** Checkpoints that could go, in the order of `makeRoom`, if a new one needed the room now. */
  atQuota: { usedBytes: number; quotaBytes: number; checkpoints: number; bytes: number };
}
export const storePlan = request<GcPlan>()('store/plan', v.object({ root, emptyTrash: v.optional(v.boolean()) }));

export interface Quota {
  quotaBytes: number;
  /** Bytes that count towards it. */
  takenBytes: number;
  /** True if nobody has set it: it follows from the size of the disk. */
  isDefault: boolean;
  /** Number and size of checkpoints that go for good once the next one is stored; with `bytes` in the request for that quota. */
  atNextCheckpoint: { checkpoints: number; bytes: number };
}

/** Reads the quota; with `bytes` it is set (null: back to the default), unless `dryRun`. */
export const storeQuota = request<Quota>()(
  'store/quota',
  v.object({
    root,
    bytes: v.optional(v.nullable(v.pipe(v.number(), v.integer(), v.minValue(1)))),
    dryRun: v.optional(v.boolean()),
  }),
);
