/** Metrics from the event files that a script writes for TensorBoard anyway. */
import { closeSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { readScalars, type Scalar } from '../formats/tfevents.ts';
import { openRegular } from '../inspector/regular-file.ts';
import type { EventsRequest, NewEvents } from './looker-requests.ts';
import { Tree } from './tree.ts';

const READ_BYTES = 4 << 20;
/** Of all files together: the rest comes with the next look. */
const LOOK_BYTES = 16 << 20;

let tree: Tree | null = null;

/** What has come since `read`. */
export function newEvents({ root, read: before }: EventsRequest): NewEvents {
  tree ??= new Tree({ root, starts: [''], wants: (path) => /(^|\/)events\.out\.tfevents\.[^/]*$/.test(path) });
  const files = tree.look();
  if (before === null) return { scalars: [], read: files.map(({ path, bytes }) => [path, bytes]) };
  const read = new Map(before);
  const scalars: Scalar[] = [];
  let left = LOOK_BYTES;
  for (const { path, bytes } of files) {
    const from = read.get(path) ?? 0;
    if (bytes <= from || left <= 0) continue;
    const found = readFrom(join(root, path), from, Math.min(READ_BYTES, bytes - from));
    if (found === null) continue;
    left -= found.bytes;
    read.set(path, found.next);
    for (const scalar of found.scalars) scalars.push(scalar);
  }
  return { scalars: scalars.sort((a, b) => a.step - b.step), read: [...read] };
}

/** Null: it cannot be read now. */
function readFrom(path: string, from: number, most: number): { scalars: Scalar[]; next: number; bytes: number } | null {
  let file: number;
  try {
    ({ file } = openRegular(path));
  } catch {
    return null;
  }
  try {
    const bytes = Buffer.alloc(most);
    const length = readSync(file, bytes, 0, most, from);
    const read = readScalars(bytes.subarray(0, length));
    // No event file, or a record longer than what is read at once: its rest is not looked at.
    const isStuck = read === null || (read.consumed === 0 && length === READ_BYTES);
    return {
      scalars: read?.scalars ?? [],
      next: isStuck ? Number.POSITIVE_INFINITY : from + read.consumed,
      bytes: length,
    };
  } finally {
    closeSync(file);
  }
}
