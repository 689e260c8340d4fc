/**
 * Output of a session, in parts: `output.log` is the newest, older ones are called `output-<first byte>-<end>.log`.
 * Readers count bytes from the first one ever printed, so an offset stays valid when older parts are removed, and a gap
 * has a known size.
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

/** Size of a part, after which a new one begins. */
export const PART_BYTES = 4 << 20;
/** Bytes kept while the session is live, so that a slow reader misses nothing; and after its end. */
const KEPT_LIVE_BYTES = 64 << 20;
const KEPT_ENDED_BYTES = 16 << 20;
/** Longest search for the start of a line after a gap. */
const LONGEST_LINE_BYTES = 64 << 10;
/** Largest number of reads that a new part may interrupt. */
const ROUNDS = 20;
const PART = /^output-(\d{15})-(\d{15})\.log$/;

interface Part {
  path: string;
  start: number;
  end: number;
}

export interface Printed {
  bytes: Buffer;
  /** Offset after these bytes. */
  next: number;
  /** Number of bytes between the requested offset and the first one that is still kept. */
  gone: number;
}

/** Reads at most `limit` bytes from `offset` on; empty when nothing more has been printed yet. */
export function readPrinted(directory: SessionDirectory, offset: number, limit: number): Printed {
  for (let round = 0; round < ROUNDS; round++) {
    const parts = partsOf(directory);
    const printed = readFrom(directory, parts, offset, limit);
    // A part that was begun meanwhile has moved the start of `output.log`.
    if (printed && partsOf(directory).at(-1)?.end === parts.at(-1)?.end) return printed;
  }
  return { bytes: Buffer.alloc(0), next: offset, gone: 0 };
}

/** Counts all bytes that were ever printed. */
export function printedBytes(directory: SessionDirectory): number {
  for (let round = 0; ; round++) {
    const base = partsOf(directory).at(-1)?.end ?? 0;
    const total = base + sizeOf(directory.file('output'));
    if ((partsOf(directory).at(-1)?.end ?? 0) === base || round === ROUNDS) return total;
  }
}

/** Turns `output.log` into a part by renaming it, for a writer that opens the file anew afterwards. */
export function endPart(directory: SessionDirectory): void {
  const output = directory.file('output');
  const start = partsOf(directory).at(-1)?.end ?? 0;
  renameSync(output, partPath(directory, start, start + sizeOf(output)));
  removeOldest(directory, KEPT_LIVE_BYTES);
}

/** Ends a part by copying it and emptying the file: for a file that a process has open as its stdout. */
export function endPartInPlace(directory: SessionDirectory, keptBytes = KEPT_LIVE_BYTES): void {
  const output = directory.file('output');
  const start = partsOf(directory).at(-1)?.end ?? 0;
  const temporary = join(directory.path, '.output.tmp');
  // Another thread of that process may print meanwhile.
  do copyFileSync(output, temporary);
  while (sizeOf(output) > sizeOf(temporary));
  const bytes = sizeOf(temporary);
  // In this order a reader in between finds an empty file, and never the same bytes twice.
  truncateSync(output, 0);
  renameSync(temporary, partPath(directory, start, start + bytes));
  removeOldest(directory, keptBytes);
}

/** Keeps only the newest output, once the session has ended. */
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

/** Reads bytes; null when the file does not exist. */
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

/** Lists the parts in the order of printing. */
function partsOf(directory: SessionDirectory): Part[] {
  if (!existsSync(directory.path)) return [];
  return readdirSync(directory.path)
    .flatMap((name) => {
      const [, start, end] = PART.exec(name) ?? [];
      return end === undefined ? [] : [{ path: join(directory.path, name), start: Number(start), end: Number(end) }];
    })
    .sort((a, b) => a.start - b.start);
}

/** Removes the oldest parts, but never the newest one, which tells where `output.log` begins. */
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
