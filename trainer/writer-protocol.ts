import type { MessagePort } from 'node:worker_threads';

/** Messages between the training thread and the thread that writes checkpoints. */
export const SLOT_BYTES = 4 << 20;
export const SLOT_COUNT = 8;
export const SLOT_FREE = 0;
export const SLOT_USED = 1;

export interface WriterSetup {
  /** Path of the event file: events before a checkpoint become durable with it. */
  events: string;
  memory: SharedArrayBuffer;
  states: SharedArrayBuffer;
  replies: MessagePort;
}

export type WriterRequest =
  | { type: 'begin'; directory: string; header: Uint8Array; stateFile: string }
  | { type: 'slot'; slot: number; bytes: number }
  /** Writes `checkpointFile` next to the state, makes everything durable and renames the directory to `target`. */
  | { type: 'commit'; target: string; checkpointFile: string; checkpoint: string }
  | { type: 'abort' };

export type WriterReply = { type: 'committed' } | { type: 'failed'; message: string; code: string | null };
