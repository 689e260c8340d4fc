/** What is asked of a process that looks into files. */
import type { FileInspection, InspectionCursor } from '../../protocol/domain.ts';
import type { Limits } from './wire.ts';

/** A page of what a file holds; answered with a FileInspection. */
export interface ListRequest {
  do: 'list';
  path: string;
  statistics: boolean;
  /** Part of names, whatever its case; empty: all tensors. */
  filter: string;
  /** Tensors on the page. */
  limit: number | null;
  after: InspectionCursor | null;
}

/** All tensors with their places; the file is read through whoever asks. Answered in parts, and a Structure. */
export interface StructureRequest {
  do: 'structure';
  bytes: number;
  /** A new file that takes the elements which do not stand in the file as they are. */
  unpacked: string;
}

/** Whether files are complete; `name` says which format each should have. Answered with the place of the first that is not; null: all are. */
export interface WholeRequest {
  do: 'whole';
  files: { path: string | Uint8Array; name: string; bytes: number }[];
}

export type LookRequest = ListRequest | StructureRequest | WholeRequest;

/** A tensor of a stored file, as plain numbers: nothing of the file has to be understood to read it. */
export interface StructuredTensor {
  name: string;
  dtype: string;
  shape: number[];
  /** Of its elements; null: the type is not known. */
  bytes: number | null;
  tiedTo: string | null;
  /** In elements; null: row by row without gaps. */
  stride: number[] | null;
  /** From its first to its last element, in the file or in what was unpacked of it; null: they cannot be had. */
  place: { offset: number; bytes: number; isUnpacked: boolean } | null;
  remark: string | null;
}

/** Without its tensors, which come before it in parts. */
export interface Structure {
  format: FileInspection['format'];
  /** It has values beside its tensors. */
  hasValues: boolean;
  /** Of these the names only. */
  isTraining: boolean;
  notes: string[];
  isComplete: boolean;
  unpackedBytes: number;
}

const MEBIBYTE = 1 << 20;

export const LIST_LIMITS: Limits = { ms: 20_000, bytes: 1_024 * MEBIBYTE };
/** What a slow disk gives. */
const BYTES_A_MS = 10_000;

/** Statistics read every byte of the page's tensors, which takes longer in a large file, and only there. */
export function statisticsLimits(fileBytes: number): Limits {
  return { ms: Math.min(600_000, 2 * LIST_LIMITS.ms + fileBytes / BYTES_A_MS), bytes: LIST_LIMITS.bytes };
}
/** What is packed is unpacked. */
export const STRUCTURE_LIMITS: Limits = { ms: 600_000, bytes: 1_024 * MEBIBYTE };
export const WHOLE_LIMITS: Limits = { ms: 20_000, bytes: 512 * MEBIBYTE };
/** Of the thread that works: what it counts itself is less. */
export const HEAP_MEBIBYTES = 768;
