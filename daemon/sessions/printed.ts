/**
 * Everything that a session has printed, in parts: `output.log` is the newest, the older ones are called
 * `output-<first byte>-<end>.log`. Readers count bytes from the first one that was ever printed, so a place stays what it
 * is when older parts are removed, and what is gone has a known size.
 */
import {
  closeSync,
  copyFileSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import type { SessionDirectory } from './directory.ts';

/** Part of an output that is never split: a newer one is begun beyond it. */
export const PART_BYTES = 4 << 20;
/** Kept while it is printed, so that a reader far behind misses nothing; and once the session has ended. */
const KEPT_LIVE_BYTES = 64 << 20;
const KEPT_ENDED_BYTES = 16 << 20;
/** After a gap reading begins at a line, unless the next one is further away. */
const LONGEST_LINE_BYTES = 64 << 10;
/** Rounds of a read that a new part interrupts each time. */
const ROUNDS = 20;
const PART = /^output-(\d{15})-(\d{15})\.log$/;

interface Part {
  path: string;
  start: number;
  end: number;
}

export interface Printed {
  bytes: Buffer;
  /** Place after these bytes. */
  next: number;
  /** Bytes between the place asked for and the first one that is still kept. */
  gone: number;
}

/** Reads at most `limit` bytes from `offset` on; empty when no more has been printed yet. */
export function readPrinted(directory: SessionDirectory, offset: number, limit: number): Printed {
  for (let round = 0; round < ROUNDS; round++) {
    const parts = partsOf(directory);
    const printed = readFrom(directory, parts, offset, limit);
    // A part that was begun meanwhile has moved what `output.log` starts with.
    if (printed && partsOf(directory).at(-1)?.end === parts.at(-1)?.end) return printed;
  }
  return { bytes: Buffer.alloc(0), next: offset, gone: 0 };
}

/** How many bytes were ever printed. */
export function printedBytes(directory: SessionDirectory): number {
  for (let round = 0; ; round++) {
    const base = partsOf(directory).at(-1)?.end ?? 0;
    const total = base + sizeOf(directory.file('output'));
    if ((partsOf(directory).at(-1)?.end ?? 0) === base || round === ROUNDS) return total;
  }
}

/** Makes a part of what `output.log` holds, by a rename: for a writer that opens it anew afterwards. */
export function endPart(directory: SessionDirectory): void {
  const output = directory.file('output');
  const start = partsOf(directory).at(-1)?.end ?? 0;
  renameSync(output, partPath(directory, start, start + sizeOf(output)));
  removeOldest(directory, KEPT_LIVE_BYTES);
}

/** The same for a file that a process has as its stdout, which stays the same file and is emptied. */
export function endPartInPlace(directory: SessionDirectory, keptBytes = KEPT_LIVE_BYTES): void {
  const output = directory.file('output');
  const start = partsOf(directory).at(-1)?.end ?? 0;
  const temporary = join(directory.path, '.output.tmp');
  // Another thread of that process may print meanwhile.
  do copyFileSync(output, temporary);
  while (sizeOf(output) > sizeOf(temporary));
  const bytes = sizeOf(temporary);
  // In this order: a reader in between finds an empty file, and never the same bytes twice.
  truncateSync(output, 0);
  renameSync(temporary, partPath(directory, start, start + bytes));
  removeOldest(directory, keptBytes);
}

/** Keeps the newest of it only, once the session has ended. */
export function prunePrinted(directory: SessionDirectory): void {
  removeOldest(directory, KEPT_ENDED_BYTES);
}

function readFrom(directory: SessionDirectory, parts: readonly Part[], offset: number, limit: number): Printed | null {
  const base = parts.at(-1)?.end ?? 0;
  const first = parts[0]?.start ?? 0;
  const from = Math.max(offset, first);
  const part = parts.find(({ start, end }) => from >= start && from < end);
  const [path, start, end] = part
    ? [part.path, part.start, part.end]
    : [directory.file('output'), base, Number.POSITIVE_INFINITY];
  const bytes = readAt(path, from - start, Math.min(limit, end - from));
  if (bytes === null) return part ? null : { bytes: Buffer.alloc(0), next: offset, gone: 0 };
  if (from === offset) return { bytes, next: from + bytes.length, gone: 0 };
  const line = bytes.subarray(0, LONGEST_LINE_BYTES).indexOf(10) + 1;
  return { bytes: bytes.subarray(line), next: from + bytes.length, gone: from + line - offset };
}

/** Null when the file is not there. */
function readAt(path: string, position: number, limit: number): Buffer | null {
  let file: number;
  try {
    file = openSync(path, 'r');
  } catch {
    return null;
  }
  try {
    const bytes = Buffer.alloc(Math.max(0, Math.min(limit, fstatSync(file).size - position)));
    return bytes.subarray(0, readSync(file, bytes, 0, bytes.length, position));
  } finally {
    closeSync(file);
  }
}

/** In the order in which they were printed. */
function partsOf(directory: SessionDirectory): Part[] {
  if (!existsSync(directory.path)) return [];
  return readdirSync(directory.path)
    .flatMap((name) => {
      const [, start, end] = PART.exec(name) ?? [];
      return end === undefined ? [] : [{ path: join(directory.path, name), start: Number(start), end: Number(end) }];
    })
    .sort((a, b) => a.start - b.start);
}

/** Never the newest part, which tells where `output.log` begins. */
function removeOldest(directory: SessionDirectory, keptBytes: number): void {
  const parts = partsOf(directory);
  const total = (parts.at(-1)?.end ?? 0) + sizeOf(directory.file('output'));
  for (const { path, end } of parts.slice(0, -1)) if (total - end >= keptBytes) rmSync(path, { force: true });
}

function partPath(directory: SessionDirectory, start: number, end: number): string {
  const padded = (place: number) => String(place).padStart(15, '0');
  return join(directory.path, `output-${padded(start)}-${padded(end)}.log`);
}

function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
