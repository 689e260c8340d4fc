/** Metrics from the event files that a script writes for TensorBoard anyway. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { join } from 'node:path';
import { readScalars, type Scalar } from '../formats/tfevents.ts';
import { Tree } from './tree.ts';

const READ_BYTES = 4 << 20;

export class EventFiles {
  readonly #root: string;
  readonly #tree: Tree;
  /** How far each file has been read; what was there before the run is not read. */
  readonly #read = new Map<string, number>();

  constructor(root: string) {
    this.#root = root;
    this.#tree = new Tree({ root, starts: [''], wants: (path) => /(^|\/)events\.out\.tfevents\.[^/]*$/.test(path) });
    for (const { path, bytes } of this.#tree.look()) this.#read.set(path, bytes);
  }

  /** What has come since the last look, in order of steps. */
  look(): Scalar[] {
    const found = this.#tree.look().flatMap(({ path, bytes }) => {
      const from = this.#read.get(path) ?? 0;
      return bytes > from ? this.#readFrom(path, from) : [];
    });
    return found.sort((a, b) => a.step - b.step);
  }

  #readFrom(path: string, from: number): Scalar[] {
    let file: number;
    try {
      file = openSync(join(this.#root, path), 'r');
    } catch {
      return [];
    }
    try {
      const bytes = Buffer.alloc(Math.min(READ_BYTES, fstatSync(file).size - from));
      const read = readScalars(bytes.subarray(0, readSync(file, bytes, 0, bytes.length, from)));
      // No event file, or a record longer than what is read at once: its rest is not looked at.
      const stuck = read === null || (read.consumed === 0 && bytes.length === READ_BYTES);
      this.#read.set(path, stuck ? Number.POSITIVE_INFINITY : from + read.consumed);
      return read?.scalars ?? [];
    } finally {
      closeSync(file);
    }
  }
}
