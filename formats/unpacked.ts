/** Unpacks whole entries of zip files, since they are read in any order. */
import { inflateRawSync } from 'node:zlib';
import type { Budget } from './budget.ts';
import { FormatError } from './format-error.ts';
import type { Read } from './window.ts';
import { dataOffset, type ZipEntry } from './zip.ts';

/** Unpacks an entry. Refuses one that would exceed the budget, before unpacking it. */
export function unpackedEntry(read: Read, fileBytes: number, entry: ZipEntry, budget: Budget): Uint8Array {
  const offset = dataOffset(read, entry, fileBytes);
  budget.spend(entry.storedBytes + entry.bytes);
  const stored = read(offset, entry.storedBytes);
  if (entry.method === 0) return stored;
  checkMethod(entry);
  try {
    return inflateRawSync(stored, { maxOutputLength: Math.max(1, entry.bytes) });
  } catch {
    throw cannotBeUnpacked(entry);
  }
}

/** Unpacks the first bytes of an entry. */
export function unpackedStart(read: Read, fileBytes: number, entry: ZipEntry, most: number): Uint8Array {
  const offset = dataOffset(read, entry, fileBytes);
  const stored = read(offset, Math.min(entry.storedBytes, most));
  if (entry.method === 0) return stored;
  checkMethod(entry);
  try {
    return inflateRawSync(stored, { maxOutputLength: most * 16, finishFlush: 2 });
  } catch {
    throw cannotBeUnpacked(entry);
  }
}

export function checkMethod({ name, method }: ZipEntry): void {
  if (method !== 0 && method !== 8)
    throw new FormatError(`its entry "${name.slice(0, 80)}" is packed with an unknown method`);
}

function cannotBeUnpacked({ name }: ZipEntry): FormatError {
  return new FormatError(`its entry "${name.slice(0, 80)}" cannot be unpacked`);
}
