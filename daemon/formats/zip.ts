/** The central directory of a zip file (PyTorch's `.pt` is one, with stored entries): where each entry's bytes lie. */
import { FormatError } from './safetensors.ts';

export interface ZipEntry {
  name: string;
  /** First byte of the entry's data in the file. */
  offset: number;
  bytes: number;
  /** What it takes in the file. */
  storedBytes: number;
  /** 0: stored as is. */
  method: number;
}

const END_SIGNATURE = 0x06054b50;
const END64_SIGNATURE = 0x06064b50;
const LOCATOR64_SIGNATURE = 0x07064b50;
const ENTRY_SIGNATURE = 0x02014b50;
const LOCAL_SIGNATURE = 0x04034b50;
const MAX_DIRECTORY_BYTES = 64 << 20;
const MAX_COMMENT_BYTES = 65535;

type Read = (offset: number, length: number) => Uint8Array;

/** In file order. Throws FormatError when the file is no zip or is damaged. */
export function readZipEntries(read: Read, fileBytes: number): ZipEntry[] {
  const { offset, bytes, count } = findDirectory(read, fileBytes);
  if (bytes > MAX_DIRECTORY_BYTES || offset + bytes > fileBytes)
    throw new FormatError('the directory does not fit the file');
  const directory = Buffer.from(read(offset, bytes));
  const entries: ZipEntry[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + 46 > directory.length || directory.readUInt32LE(at) !== ENTRY_SIGNATURE)
      throw new FormatError('the directory is damaged');
    const nameBytes = directory.readUInt16LE(at + 28);
    const extraBytes = directory.readUInt16LE(at + 30);
    const next = at + 46 + nameBytes + extraBytes + directory.readUInt16LE(at + 32);
    if (next > directory.length) throw new FormatError('the directory is damaged');
    const extra = directory.subarray(at + 46 + nameBytes, at + 46 + nameBytes + extraBytes);
    const [size, stored, local] = zip64(extra, [
      directory.readUInt32LE(at + 24),
      directory.readUInt32LE(at + 20),
      directory.readUInt32LE(at + 42),
    ]);
    const name = directory.toString('utf8', at + 46, at + 46 + nameBytes);
    entries.push({
      name,
      offset: dataOffset(read, local!, fileBytes),
      bytes: size!,
      storedBytes: stored!,
      method: directory.readUInt16LE(at + 10),
    });
    at = next;
  }
  entries.sort((a, b) => a.offset - b.offset);
  for (const entry of entries) {
    if (entry.offset + entry.storedBytes > fileBytes || (entry.method === 0 && entry.bytes !== entry.storedBytes))
      throw new FormatError(`entry "${entry.name}" lies beyond the file's end`);
  }
  return entries;
}

function findDirectory(read: Read, fileBytes: number): { offset: number; bytes: number; count: number } {
  const tailBytes = Math.min(fileBytes, 22 + MAX_COMMENT_BYTES);
  const tailOffset = fileBytes - tailBytes;
  const tail = Buffer.from(read(tailOffset, tailBytes));
  for (let at = tail.length - 22; at >= 0; at--) {
    if (tail.readUInt32LE(at) !== END_SIGNATURE) continue;
    const end = {
      count: tail.readUInt16LE(at + 10),
      bytes: tail.readUInt32LE(at + 12),
      offset: tail.readUInt32LE(at + 16),
    };
    if (end.count !== 0xffff && end.bytes !== 0xffffffff && end.offset !== 0xffffffff) return end;
    return findDirectory64(read, tailOffset + at, fileBytes);
  }
  throw new FormatError('not a zip file');
}

function findDirectory64(
  read: Read,
  endOffset: number,
  fileBytes: number,
): { offset: number; bytes: number; count: number } {
  const locator = Buffer.from(read(Math.max(0, endOffset - 20), 20));
  if (locator.length < 20 || locator.readUInt32LE(0) !== LOCATOR64_SIGNATURE) throw new FormatError('no zip64 locator');
  const at = Number(locator.readBigUInt64LE(8));
  if (at + 56 > fileBytes) throw new FormatError('zip64 directory beyond the end');
  const end = Buffer.from(read(at, 56));
  if (end.readUInt32LE(0) !== END64_SIGNATURE) throw new FormatError('no zip64 directory');
  const numbers = [32, 40, 48].map((field) => Number(end.readBigUInt64LE(field)));
  if (!numbers.every(Number.isSafeInteger)) throw new FormatError('zip64 sizes are not plausible');
  return { count: numbers[0]!, bytes: numbers[1]!, offset: numbers[2]! };
}

/** Replaces the fields that say "see the zip64 extra field", which come in this order. */
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

function dataOffset(read: Read, local: number, fileBytes: number): number {
  if (local + 30 > fileBytes) throw new FormatError('an entry lies beyond the file');
  const header = Buffer.from(read(local, 30));
  if (header.length < 30 || header.readUInt32LE(0) !== LOCAL_SIGNATURE) throw new FormatError('an entry has no header');
  return local + 30 + header.readUInt16LE(26) + header.readUInt16LE(28);
}
