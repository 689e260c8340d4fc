import { closeSync, openSync, readSync } from 'node:fs';
import { isWhole } from '../formats/whole.ts';

/** Whether a file's structure is complete, as far as its format tells. `name` says which that is. False when it is gone. */
export function isWholeFile(path: string | Buffer, name: string, bytes: number): boolean {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch {
    return false;
  }
  try {
    const read = (offset: number, length: number) => {
      const buffer = Buffer.alloc(length);
      return buffer.subarray(0, readSync(descriptor, buffer, 0, length, offset));
    };
    return isWhole(name, read, bytes);
  } finally {
    closeSync(descriptor);
  }
}
