/**
 * Reads the central directory of a zip file (PyTorch's `.pt` is one, with stored entries) for the position of each
 * entry.
 */
import { Budget } from './budget.ts';
import { FormatError } from './format-error.ts';
import type { Read } from './window.ts';

export interface ZipEntry {
  name: string;
  /** Offset of the entry's own header; `dataOffset` finds its data. */
  header: number;
  bytes: number;
  /** Number of bytes that it takes in the file. */
  storedBytes: number;
  /** Compression method; 0: stored as is. */
  method: number;
}

export interface ZipFile {
  /** Entries in file order. */
  entries: ZipEntry[];
  /**
   * Number of bytes before the archive that do not belong to it: other archives, in a shard of a distributed
   * checkpoint.
   */
  before: number;
}

const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const END_BYTES = 22;
const END64_BYTES = 56;
const LOCATOR64_BYTES = 20;
const LOCAL_BYTES = 30;
const MAX_DIRECTORY_BYTES = 64 << 20;
const MAX_COMMENT_BYTES = 65535;
/** Approximate memory of an entry in the list, without its name. */
const ENTRY_COST = 160;

export function startsLikeZip(read: Read, fileBytes: number): boolean {
  return fileBytes >= 4 && Buffer.from(read(0, 4)).readUInt32LE(0) === LOCAL_SIGNATURE;
}

/** Reads the directory. Throws FormatError when the file is not a zip, is truncated or damaged. */
export function readZip(read: Read, fileBytes: number, budget = new Budget()): ZipFile {
  const found = findDirectory(read, fileBytes);
  const { offset, bytes, count } = found;
  if (bytes > MAX_DIRECTORY_BYTES) throw new FormatError('its directory is absurdly large', { isWhole: true });
  budget.spend(bytes);
  // Apparent bytes before the archive may be a gap after its directory.
  const isGap = found.before > 0 && !isDirectory(read, found.before + offset) && isDirectory(read, offset);
  const before = isGap ? 0 : found.before;
  const directory = Buffer.from(read(before + offset, bytes));
  if (directory.length < bytes) throw new FormatError('the directory does not fit the file');
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const next = endOfEntry(directory, at);
    budget.spend(ENTRY_COST + next - at);
    const entry = readEntry(directory, at);
    entries.push({ ...entry, header: before + entry.header });
    at = next;
  }
  checkPlaces(entries, before, before + offset);
  return { entries, before };
}

/** Returns the offset of an entry's data in the file. */
export function dataOffset(read: Read, { header, name, storedBytes }: ZipEntry, fileBytes: number): number {
  const bytes = Buffer.from(read(header, LOCAL_BYTES));
  if (bytes.length < LOCAL_BYTES || bytes.readUInt32LE(0) !== LOCAL_SIGNATURE)
    throw new FormatError('an entry has no header');
  const offset = header + LOCAL_BYTES + bytes.readUInt16LE(26) + bytes.readUInt16LE(28);
  if (offset + storedBytes > fileBytes)
    throw new FormatError(`its entry "${name.slice(0, 80)}" lies beyond the file’s end`);
  return offset;
}

function isDirectory(read: Read, offset: number): boolean {
  const start = Buffer.from(read(offset, 4));
  return start.length === 4 && start.readUInt32LE(0) === ENTRY_SIGNATURE;
}

function endOfEntry(directory: Buffer, at: number): number {
  if (at + 46 > directory.length || directory.readUInt32LE(at) !== ENTRY_SIGNATURE)
    throw new FormatError('the directory is damaged');
  const next =
    at + 46 + directory.readUInt16LE(at + 28) + directory.readUInt16LE(at + 30) + directory.readUInt16LE(at + 32);
  if (next > directory.length) throw new FormatError('the directory is damaged');
  return next;
}

function readEntry(directory: Buffer, at: number): ZipEntry {
  const nameBytes = directory.readUInt16LE(at + 28);
  const extraBytes = directory.readUInt16LE(at + 30);
  const extra = directory.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes);
  const [size, stored, header] = zip64(extra, [
    directory.readUInt32LE(at + 24),
    directory.readUInt32LE(at + 20),
    directory.readUInt32LE(at + 42),
  ]);
  return {
    name: directory.toString('utf8', at + 46, at + 46 + nameBytes),
    header: header!,
    bytes: size!,
    storedBytes: stored!,
    method: directory.readUInt16LE(at + 10),
  };
}

/** Sorts the entries, and refuses overlapping ones: a zip bomb has them, no ordinary file does. */
function checkPlaces(entries: ZipEntry[], start: number, directory: number): void {
  entries.sort((a, b) => a.header - b.header);
  let end = start;
  for (const { name, header, bytes, storedBytes, method } of entries) {
    if (header < end) throw new FormatError(`its entry "${name.slice(0, 80)}" overlaps another one`, { isWhole: true });
    end = header + LOCAL_BYTES + storedBytes;
    if (end > directory || (method === 0 && bytes !== storedBytes))
      throw new FormatError(`its entry "${name.slice(0, 80)}" lies beyond the file’s end`);
  }
}

interface Directory {
  /** Offset within the archive. */
  offset: number;
  bytes: number;
  count: number;
  /** Number of bytes in the file before the archive. */
  before: number;
}

function findDirectory(read: Read, fileBytes: number): Directory {
  const tailBytes = Math.min(fileBytes, END_BYTES + MAX_COMMENT_BYTES);
  const tailOffset = fileBytes - tailBytes;
  const tail = Buffer.from(read(tailOffset, tailBytes));
  for (let at = tail.length - END_BYTES; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_SIGNATURE) continue;
    const count = tail.readUInt16LE(at + 10);
    const bytes = tail.readUInt32LE(at + 12);
    const offset = tail.readUInt32LE(at + 16);
    if (count === 0xffff || bytes === 0xffffffff || offset === 0xffffffff)
      return findDirectory64(read, tailOffset + at, fileBytes);
    return placed({ offset, bytes, count }, endOfDirectory(read, tailOffset + at));
  }
  throw new FormatError(
    `it is truncated after ${fileBytes.toLocaleString('en-US')} bytes: the directory of a zip file, which is written last, is missing`,
  );
}

/**
 * Finds the directory's end: writers such as torch's add the zip64 record between the directory and its end, even if
 * nothing needs it.
 */
function endOfDirectory(read: Read, end: number): number {
  const locator = end - LOCATOR64_BYTES;
  if (locator < END64_BYTES) return end;
  const bytes = Buffer.from(read(locator - END64_BYTES, END64_BYTES + LOCATOR64_BYTES));
  const isWide = bytes.readUInt32LE(0) === END64_SIGNATURE && bytes.readUInt32LE(END64_BYTES) === LOCATOR64_SIGNATURE;
  return isWide ? locator - END64_BYTES : end;
}

function findDirectory64(read: Read, endOffset: number, fileBytes: number): Directory {
  const locatorAt = endOffset - LOCATOR64_BYTES;
  const locator = Buffer.from(read(Math.max(0, locatorAt), LOCATOR64_BYTES));
  if (locatorAt < 0 || locator.length < LOCATOR64_BYTES || locator.readUInt32LE(0) !== LOCATOR64_SIGNATURE)
    throw new FormatError('no zip64 locator');
  // Directly before the locator, unless something was inserted; then at the locator's offset.
  for (const at of [locatorAt - END64_BYTES, Number(locator.readBigUInt64LE(8))]) {
    if (at < 0 || at + END64_BYTES > fileBytes) continue;
    const end = Buffer.from(read(at, END64_BYTES));
    if (end.length < END64_BYTES || end.readUInt32LE(0) !== END64_SIGNATURE) continue;
    const [count, bytes, offset] = [32, 40, 48].map((field) => Number(end.readBigUInt64LE(field)));
    if (![count, bytes, offset].every(Number.isSafeInteger)) throw new FormatError('zip64 sizes are not plausible');
    return placed({ offset: offset!, bytes: bytes!, count: count! }, at);
  }
  throw new FormatError('no zip64 directory');
}

function placed(directory: Omit<Directory, 'before'>, end: number): Directory {
  const before = end - directory.bytes - directory.offset;
  if (before < 0) throw new FormatError('the directory does not fit the file');
  return { ...directory, before };
}

/** Replaces the fields that refer to the zip64 extra field, which contains them in this order. */
function zip64(extra: Buffer, fields: number[]): number[] {
  if (!fields.includes(0xffffffff)) return fields;
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== 1) continue;
    let value = at + 4;
    return fields.map((field) => {
      if (field !== 0xffffffff) return field;
      if (value + 8 > extra.length) throw new FormatError('zip64 field is cut short');
      const wide = Number(extra.readBigUInt64LE(value));
      if (!Number.isSafeInteger(wide)) throw new FormatError('zip64 sizes are not plausible');
      value += 8;
      return wide;
    });
  }
  throw new FormatError('zip64 field is missing');
}
