/** Messages about checkpoints. */
import * as v from 'valibot';
import type { Checkpoint, Proof } from '../domain.ts';
import type { Notification } from './request.ts';
import { count, environment, request, root, text } from './request.ts';

export const checkpointList = request<{ revision: number; checkpoints: Checkpoint[]; next: string | null }>()(
  'checkpoint/list',
  v.object({
    root,
    run: text,
    trashed: v.optional(v.boolean()),
    cursor: v.optional(v.nullable(text)),
    limit: v.optional(count),
  }),
);

export const checkpointShow = request<Checkpoint>()('checkpoint/show', v.object({ root, checkpoint: text }));

export const checkpointTag = request<Checkpoint>()(
  'checkpoint/tag',
  v.object({ root, checkpoint: text, tag: text, remove: v.optional(v.boolean()) }),
);

/** Replays from this checkpoint to the next one and compares the states. Resolves when that is done. */
export const checkpointVerify = request<{ checkpoint: Checkpoint; proof: Proof }>()(
  'checkpoint/verify',
  v.object({ root, checkpoint: text, environment }),
);

/** Writes the checkpoint's own files, verified, into a new directory. */
export const checkpointRestore = request<{ directory: string; files: string[]; bytes: number }>()(
  'checkpoint/restore',
  v.object({ root, checkpoint: text, directory: text }),
);

export const checkpointChanged: Notification<{ store: string; revision: number; checkpoint: Checkpoint }> = {
  method: 'checkpoint/changed',
};
