/**
 * Decides where a file is cut into chunks. Cuts follow the file's structure, so that an unchanged tensor gives the same
 * chunks wherever it is in the file; other files are cut by content. Cuts depend on the file alone.
 */
import { Budget } from '../../../formats/budget.ts';
import { elementBytes } from '../../../formats/dtypes.ts';
import { FormatError } from '../../../formats/format-error.ts';
import { readHeader } from '../../../formats/safetensors-reader.ts';
import { dataOffset, readZip } from '../../../formats/zip.ts';
import { MAX_CHUNK_BYTES } from './limits.ts';

/** Size below which neighbours share a chunk: a row for each bias vector would cost more than it saves. */
const SMALL_BYTES = 128 << 10;
/** Memory limit for reading a structure: the store's thread is part of the daemon. */
const STRUCTURE_BYTES = 128 << 20;
const MAX_HEADER_BYTES = 32 << 20;

export interface Cut {
  offset: number;
  bytes: number;
  /** Size of the elements inside, for the codec; 1 when unknown or mixed. */
  elementBytes: number;
  /** True if it follows a cut of the same tensor: the codec of that one suits this one. */
  continues: boolean;
}

interface Region {
  offset: number;
  bytes: number;
  elementBytes: number;
}

/** Cuts a file by its structure; null when the structure is unknown: cut it by content. */
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

/**
 * Finds the regions of a zip. PyTorch's directory has no dtypes, but nearly all weights are float32 or halves, and 4
 * shuffles both.
 */
function zipRegions(read: (offset: number, length: number) => Uint8Array, fileBytes: number): Region[] {
  // Only an entry's own header tells where its data begins: small ones are not worth that read.
  const large = readZip(read, fileBytes, new Budget(STRUCTURE_BYTES)).entries.filter(
    ({ storedBytes }) => storedBytes >= SMALL_BYTES,
  );
  return large.map((entry) => ({
    offset: dataOffset(read, entry, fileBytes),
    bytes: entry.storedBytes,
    elementBytes: entry.method === 0 ? 4 : 1,
  }));
}

/** Covers the whole file: large regions separately in pieces of at most 4 MiB, everything between them together. */
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

/** Minimum size of a chunk. Bytes before it are not examined: that would cost as much as hashing. */
const MIN_CONTENT_BYTES = 2 << 20;
/** 20 bits: on average a cut one MiB after the minimum. */
const CUT_MASK = 0xfffff000 | 0;
const WINDOW_BYTES = 32;
const GEAR = gearTable();

/** Finds the end of a chunk while its bytes are read into a buffer of 4 MiB, piece by piece. */
export class ContentCutter {
  #at = MIN_CONTENT_BYTES - WINDOW_BYTES;
  #hash = 0;

  /** Returns the chunk's length, once it is within the first `filled` bytes; null: more bytes are needed. */
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
