/** Requests to the thread that works on the tensors of stored checkpoints, and its messages. */
import type { MessagePort } from 'node:worker_threads';
import type { Structure, StructuredTensor } from '../../inspector/requests.ts';
import type { WeightsDiff } from '../../protocol/diff.ts';
import type { WireError } from '../../protocol/errors.ts';
import type { NameMapping } from './names.ts';

export interface CompareRequest {
  do: 'compare';
  checkpoints: [string, string];
  mapping: NameMapping[];
}

/** Request to write tensors to `path`, which must not exist. */
export interface ExportTensorsRequest {
  do: 'exportTensors';
  checkpoint: string;
  format: 'safetensors' | 'npz' | 'pdparams' | 'state_dict';
  /** True for all tensors by their names, not only the weights. */
  full: boolean;
  /** Prefix to remove from names; null: the prefixes of containers and wrappers. */
  strip: string | null;
  path: string;
  /** Metadata for formats that have some. */
  metadata: Record<string, string>;
}

export interface ExportOriginalRequest {
  do: 'exportOriginal';
  checkpoint: string;
  path: string;
}

/** File of an export; `name` is its path within a folder; empty: it is the output itself. */
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
 * Messages of the thread. It asks for a file's structure and serves the reads for it; the answers come as
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
