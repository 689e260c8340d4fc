/**
 * Where a file is cut into chunks. Cuts follow the file's structure, so that a tensor that did not change gives the
 * same chunks wherever it lies in the file; other files are cut by content. Cuts depend on the file alone.
 */
import { Budget } from '../formats/budget.ts';
import { elementBytes } from '../formats/dtypes.ts';
import { FormatError } from '../formats/format-error.ts';
import { readHeader } from '../formats/safetensors-reader.ts';
import { dataOffset, readZip } from '../formats/zip.ts';

export const MAX_CHUNK_BYTES = 4 << 20;
/** Neighbours smaller than this share a chunk: a row for each bias vector would cost more than it saves. */
const SMALL_BYTES = 128 << 10;
/** The store's thread is the daemon's own: a structure that takes more than this is not looked at. */
const STRUCTURE_BYTES = 128 << 20;
const MAX_HEADER_BYTES = 32 << 20;

export interface Cut {
  offset: number;
  bytes: number;
  /** Size of the elements inside, for the codec; 1 when unknown or mixed. */
  elementBytes: number;
  /** Follows a cut of the same tensor: what compresses that one compresses this one. */
  continues: boolean;
}

interface Region {
  offset: number;
  bytes: number;
  elementBytes: number;
}

/** Null when the file has no structure that we know: cut it by content. */
export function structuralCuts(read: (offset: number, length: number) => Uint8Array, fileBytes: number): Cut[] | null {
  if (fileBytes <= SMALL_BYTES)
    return fileBytes === 0 ? [] : [{ offset: 0, bytes: fileBytes, elementBytes: 1, continues: false }];
  const regions =
    tryRegions(() => safetensorsRegions(read, fileBytes)) ?? tryRegions(() => zipRegions(read, fileBytes));
  return regions && cutRegions(regions, fileBytes);
}

function tryRegions(parse: () => Region[]): Region[] | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof FormatError || error instanceof RangeError) return null;
    throw error;
  }
}

function safetensorsRegions(read: (offset: number, length: number) => Uint8Array, fileBytes: number): Region[] {
  const options = { budget: new Budget(STRUCTURE_BYTES), maxBytes: MAX_HEADER_BYTES };
  return readHeader(read, fileBytes, options).tensors.map(({ offset, bytes, dtype }) => ({
    offset,
    bytes,
    elementBytes: elementBytes(dtype) ?? 1,
  }));
}

/** PyTorch does not say an entry's dtype in the directory; nearly all weights are float32 or halves: 4 shuffles both. */
function zipRegions(read: (offset: number, length: number) => Uint8Array, fileBytes: number): Region[] {
  // Where the data of an entry begins only its own header tells: small ones are not worth that read.
  const large = readZip(read, fileBytes, new Budget(STRUCTURE_BYTES)).entries.filter(
    ({ storedBytes }) => storedBytes >= SMALL_BYTES,
  );
  return large.map((entry) => ({
    offset: dataOffset(read, entry, fileBytes),
    bytes: entry.storedBytes,
    elementBytes: entry.method === 0 ? 4 : 1,
  }));
}

/** Covers the whole file: large regions alone and in pieces of at most 4 MiB, all between them together. */
function cutRegions(regions: Region[], fileBytes: number): Cut[] {
  const cuts: Cut[] = [];
  let at = 0;
  const upTo = (end: number, elementBytes: number) => {
    const start = at;
    while (at < end) {
      const bytes = Math.min(MAX_CHUNK_BYTES, end - at);
      cuts.push({ offset: at, bytes, elementBytes, continues: at > start });
      at += bytes;
    }
  };
  for (const region of regions) {
    if (region.bytes < SMALL_BYTES || region.offset < at) continue;
    upTo(region.offset, 1);
    upTo(region.offset + region.bytes, region.elementBytes);
  }
  upTo(fileBytes, 1);
  return cuts;
}

// ---- content-defined cuts (a gear hash, after FastCDC): an insertion moves only the cuts around it ----

/** What comes before it is not looked at: looking costs as much as hashing. */
const MIN_CONTENT_BYTES = 2 << 20;
/** 20 bits: a cut a MiB after the minimum, on average. */
const CUT_MASK = 0xfffff000 | 0;
const WINDOW_BYTES = 32;
const GEAR = gearTable();

/** Finds the end of one chunk while its bytes are read into a buffer of 4 MiB, piece by piece. */
export class ContentCutter {
  #at = MIN_CONTENT_BYTES - WINDOW_BYTES;
  #hash = 0;

  /** The chunk's length, once it lies within the first `filled` bytes; null: more is needed. */
  cut(bytes: Uint8Array, filled: number): number | null {
    let hash = this.#hash;
    let i = this.#at;
    for (; i < filled; i++) {
      hash = ((hash << 1) + GEAR[bytes[i]!]!) | 0;
      if (i >= MIN_CONTENT_BYTES && (hash & CUT_MASK) === 0) return i + 1;
    }
    this.#at = i;
    this.#hash = hash;
    return filled === MAX_CHUNK_BYTES ? filled : null;
  }
}

function gearTable(): Int32Array {
  const table = new Int32Array(256);
  let state = 0x9e3779b9;
  for (let i = 0; i < 256; i++) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x9e3779b9;
    state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35);
    table[i] = state ^ (state >>> 16);
  }
  return table;
}
