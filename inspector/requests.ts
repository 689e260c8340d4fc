/** Requests to a process that inspects files. */
import type { TensorPart } from '../formats/inspection.ts';
import type { FileInspection, InspectionCursor } from '../protocol/domain.ts';
import type { Limits } from './wire.ts';

/** Request for a page of a file's content; answered with a FileInspection. */
export interface ListRequest {
  do: 'list';
  path: string;
  statistics: boolean;
  /** Part of names, case-insensitive; empty: all tensors. */
  filter: string;
  /** Number of tensors on the page. */
  limit: number | null;
  after: InspectionCursor | null;
}

/** Request for all tensors with their positions; the client reads the file. Answered in parts, and with a Structure. */
export interface StructureRequest {
  do: 'structure';
  bytes: number;
  /** New file for elements that the file does not contain in plain form. */
  unpacked: string;
}

/**
 * Request to check whether files are complete; `name` determines each format. Answered with the index of the first
 * incomplete one; null: all are complete.
 */
export interface WholeRequest {
  do: 'whole';
  files: { path: string | Uint8Array; name: string; bytes: number }[];
}

export type InspectorRequest = ListRequest | StructureRequest | WholeRequest;

/** Tensor of a stored file in plain numbers: reading it needs no knowledge of the format. */
export interface StructuredTensor {
  name: string;
  dtype: string;
  shape: number[];
  /** Size of its elements; null: the type is unknown. */
  bytes: number | null;
  tiedTo: string | null;
  /** Stride in elements; null: row by row without gaps. */
  stride: number[] | null;
  /** Range from its first to its last element, in the file or in the unpacked one; null: not available. */
  place: { offset: number; bytes: number; isUnpacked: boolean } | null;
  remark: string | null;
  /** Pieces in other files that it is put together from; absent: it is in this one. */
  parts?: TensorPart[];
}

/** Structure without the tensors, which come before it in parts. */
export interface Structure {
  format: FileInspection['format'];
  /** True if the file has values besides its tensors. */
  hasValues: boolean;
  /** True for a training of the built-in trainer. */
  isTraining: boolean;
  notes: string[];
  isComplete: boolean;
  unpackedBytes: number;
}

const MEBIBYTE = 1 << 20;

export const LIST_LIMITS: Limits = { ms: 20_000, bytes: 1_024 * MEBIBYTE };
/** Speed of a slow disk. */
const BYTES_A_MS = 10_000;

/** Limits a look with statistics: they read every byte of the page's tensors, which takes longer in a large file, and only there. */
export function statisticsLimits(fileBytes: number): Limits {
  return { ms: Math.min(600_000, 2 * LIST_LIMITS.ms + fileBytes / BYTES_A_MS), bytes: LIST_LIMITS.bytes };
}

/** Packed elements are unpacked. */
export const STRUCTURE_LIMITS: Limits = { ms: 600_000, bytes: 1_024 * MEBIBYTE };
export const WHOLE_LIMITS: Limits = { ms: 20_000, bytes: 512 * MEBIBYTE };
/** Heap of the working thread, which is larger than the budget that it counts itself. */
export const HEAP_MEBIBYTES = 768;
