/** Reads metrics, images, histograms and texts from the event files that a script writes for TensorBoard. */
import { closeSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { readEvents, type Scalar, type SummaryMedium } from '../formats/tfevents.ts';
import { openRegular } from '../inspector/regular-file.ts';
import { FolderScan } from './file-scan.ts';
import type { EventsRequest, NewEvents } from './looker-requests.ts';

const READ_BYTES = 4 << 20;
/** The limit for all files together; the next look reads the rest. */
const LOOK_BYTES = 16 << 20;

let tree: FolderScan | null = null;

/** Returns what was added since `read`. */
export function newEvents({ root, read: before }: EventsRequest): NewEvents {
  tree ??= new FolderScan({ root, starts: [''], wants: (path) => /(^|\/)events\.out\.tfevents\.[^/]*$/.test(path) });
  const files = tree.look();
  if (before === null) return { scalars: [], media: [], read: files.map(({ path, bytes }) => [path, bytes]) };
  const read = new Map(before);
  const scalars: Scalar[] = [];
  const media: SummaryMedium[] = [];
  let left = LOOK_BYTES;
  for (const { path, bytes } of files) {
    const from = read.get(path) ?? 0;
    if (bytes <= from || left <= 0) continue;
    const found = readFrom(join(root, path), from, Math.min(READ_BYTES, bytes - from));
    if (found === null) continue;
    left -= found.bytes;
    read.set(path, found.next);
    for (const scalar of found.scalars) scalars.push(scalar);
    // Copies, since each is a part of all that was read.
    for (const medium of found.media) media.push({ ...medium, content: medium.content.slice() });
  }
  return { scalars: scalars.sort((a, b) => a.step - b.step), media, read: [...read] };
}

interface Piece {
  scalars: Scalar[];
  media: SummaryMedium[];
  next: number;
  bytes: number;
}

/** Returns null if the file cannot be read now. */
function readFrom(path: string, from: number, most: number): Piece | null {
  let file: number;
  try {
    ({ file } = openRegular(path));
  } catch {
    return null;
  }
  try {
    const bytes = Buffer.alloc(most);
    const length = readSync(file, bytes, 0, most, from);
    const read = readEvents(bytes.subarray(0, length));
    // Skips the rest of a file that is not an event file.
    if (read === null) return { scalars: [], media: [], next: Number.POSITIVE_INFINITY, bytes: length };
    // Skips a record that is longer than one read: a graph, or a large image.
    const isStuck = read.consumed === 0 && length === READ_BYTES;
    return {
      scalars: read.scalars,
      media: read.media,
      next: from + (isStuck ? read.next : read.consumed),
      bytes: length,
    };
  } finally {
    closeSync(file);
  }
}
