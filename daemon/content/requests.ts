/** What is asked of the thread that works on the tensors of stored checkpoints, and what it says. */
import type { MessagePort } from 'node:worker_threads';
import type { WeightsDiff } from '../../protocol/diff.ts';
import type { WireError } from '../../protocol/errors.ts';
import type { NameMapping } from './names.ts';

export type ContentRequest = CompareRequest;

export interface CompareRequest {
  do: 'compare';
  checkpoints: [string, string];
  mapping: NameMapping[];
}

export interface ContentSetup {
  port: MessagePort;
  signal: Int32Array<SharedArrayBuffer>;
  request: ContentRequest;
}

export type ContentResult = Omit<WeightsDiff, 'sides'>;

export type ContentMessage =
  | { type: 'progress'; done: number; total: number }
  | { type: 'done'; result: ContentResult }
  | { type: 'failed'; error: WireError };
