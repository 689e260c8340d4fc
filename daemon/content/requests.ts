/** What is asked of the thread that works on the tensors of stored checkpoints, and what it says. */
import type { MessagePort } from 'node:worker_threads';
import type { WeightsDiff } from '../../protocol/diff.ts';
import type { WireError } from '../../protocol/errors.ts';
import type { Structure, StructuredTensor } from '../inspector/requests.ts';
import type { NameMapping } from './names.ts';

export interface CompareRequest {
  do: 'compare';
  checkpoints: [string, string];
  mapping: NameMapping[];
}

/** `path`: what is written; it must not exist. */
export interface ExportTensorsRequest {
  do: 'exportTensors';
  checkpoint: string;
  format: 'safetensors' | 'npz' | 'pdparams' | 'state_dict';
  /** All tensors by their names, and not the weights alone. */
  full: boolean;
  /** Beginning of names that is left out; null: what boxes and wrappers add. */
  strip: string | null;
  path: string;
  /** For formats that keep texts. */
  metadata: Record<string, string>;
}

export interface ExportOriginalRequest {
  do: 'exportOriginal';
  checkpoint: string;
  path: string;
}

/** `name` within a folder; empty: it is the output itself. */
export interface ExportedFile {
  name: string;
  bytes: number;
  sha256: string;
}

export interface ContentSetup {
  port: MessagePort;
  signal: Int32Array<SharedArrayBuffer>;
  request: ContentRequest;
}

export type ContentRequest = CompareRequest | ExportTensorsRequest | ExportOriginalRequest;

export interface ContentResults {
  compare: Omit<WeightsDiff, 'sides'>;
  exportTensors: { files: ExportedFile[]; notes: string[] };
  exportOriginal: { files: ExportedFile[]; notes: string[] };
}

/**
 * What the thread says. Of a file it asks what its tensors are, and reads of it what is needed for that; the answers come as
 * `ContentAnswer`.
 */
export type ContentMessage =
  | { type: 'progress'; done: number; total: number }
  | { type: 'look'; id: number; bytes: number }
  | { type: 'bytes'; id: number; bytes: Uint8Array }
  | { type: 'noBytes'; id: number; problem: string }
  | { type: 'done'; result: ContentResults[ContentRequest['do']] }
  | { type: 'failed'; error: WireError };

export type ContentAnswer =
  | { type: 'read'; id: number; offset: number; length: number }
  | { type: 'tensors'; id: number; tensors: StructuredTensor[] }
  | { type: 'structure'; id: number; structure: Structure; unpacked: string }
  | { type: 'problem'; id: number; problem: string };
