/** TensorBoard's event folders, which Lightning and others write as well. */
import { closeSync, openSync, readSync } from 'node:fs';
import { readEvents } from '../../formats/tfevents.ts';
import type { Points } from '../points.ts';
import { type Source, stampOf } from '../source.ts';
import { type FoundFile, nameOf } from '../walk.ts';

const PART_BYTES = 4 << 20;
const MOST_PART_BYTES = 256 << 20;

export function isEventFile({ name }: Pick<FoundFile, 'name'>): boolean {
  return /(^|\.)tfevents\./.test(name);
}

/** Reads the scalars of event files, the oldest first. Returns false if one of them is no event file. */
export function readEventFiles(files: readonly FoundFile[], points: Points): void {
  for (const { path } of [...files].sort((a, b) => (a.name < b.name ? -1 : 1))) readEventFile(path, points);
}

function readEventFile(path: string, points: Points): void {
  const file = openSync(path, 'r');
  try {
    let rest: Uint8Array = new Uint8Array(0);
    let size = PART_BYTES;
    for (;;) {
      const part = Buffer.alloc(size);
      const read = readSync(file, part, 0, size, null);
      if (read === 0) return;
      const bytes = Buffer.concat([rest, part.subarray(0, read)]);
      const found = readEvents(bytes);
      if (found === null) {
        points.leftOut++;
        return;
      }
      for (const { tag, step, time, value } of found.scalars) points.add(tag, step, value, time);
      rest = bytes.subarray(found.consumed);
      // A record with images may be larger than a part.
      size = rest.length >= size ? Math.min(size * 2, MOST_PART_BYTES) : PART_BYTES;
      if (rest.length > MOST_PART_BYTES) return;
    }
  } finally {
    closeSync(file);
  }
}

export const tensorBoard: Source = {
  tool: 'TensorBoard',
  find(folder, { around }) {
    const files = folder.files.filter(isEventFile);
    if (files.length === 0) return null;
    const run = {
      key: `TensorBoard:${folder.path}`,
      job: around.at(-1) ?? nameOf(folder.path),
      name: folder.name,
      path: folder.path,
      stamp: stampOf(files),
      checkpoints: [],
      read: (points: Points) => {
        readEventFiles(files, points);
        return {};
      },
    };
    return { runs: [run], taken: [], all: false };
  },
};
