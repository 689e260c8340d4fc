import { setImmediate as breathe } from 'node:timers/promises';
import { Mutex } from '../../../base/mutex.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Objects } from '../objects/objects.ts';
import { fillChecksums } from './checksums.ts';
import { pack } from './packing.ts';
import { hasRoomFor, returnSpace, sweep } from './sweep.ts';

/** Result of packing; with `noRoom` nothing was done, since the disk is nearly full. */
export interface Packed {
  savedBytes: number;
  more: boolean;
  noRoom: boolean;
}

/**
 * Runs maintenance jobs (sweep, repack) one at a time. Two at once could pick each other's chunks as delta bases and
 * form a cycle.
 */
export class Upkeep {
  readonly #path: string;
  readonly #objects: Objects;
  readonly #coders: Coders;
  readonly #mutex = new Mutex();
  /** Packing that a slice left for the next one. */
  #packing: { minAgeMs: number; chunks: ReturnType<typeof pack> } | null = null;
  #closing = false;

  /** Takes the store's directory as `path`. */
  constructor(path: string, objects: Objects, coders: Coders) {
    this.#path = path;
    this.#objects = objects;
    this.#coders = coders;
  }

  sweep(): Promise<number> {
    return this.#mutex.run(() => sweep(this.#objects, this.#coders, () => breathe()));
  }

  /**
   * Packs for about `milliseconds`, continuing where the last call stopped. Leaves checkpoints younger than `minAgeMs`
   * alone; of a live run it packs only full blocks.
   */
  pack(milliseconds: number, minAgeMs: number, isLive: (run: string) => boolean): Promise<Packed> {
    return this.#mutex.run(async () => {
      if (!hasRoomFor(this.#path, 0)) return { savedBytes: 0, more: false, noRoom: true };
      const until = performance.now() + milliseconds;
      if (this.#packing?.minAgeMs !== minAgeMs)
        this.#packing = { minAgeMs, chunks: pack(this.#objects, this.#coders, Date.now() - minAgeMs, isLive) };
      let savedBytes = 0;
      try {
        while (!this.#closing && performance.now() < until) {
          const { done, value } = await this.#packing.chunks.next();
          if (done) {
            this.#packing = null;
            await returnSpace(this.#path, this.#objects, () => breathe(), false);
            return { savedBytes, more: false, noRoom: false };
          }
          savedBytes += value;
        }
      } catch (error) {
        this.#packing = null;
        throw error;
      }
      return { savedBytes, more: true, noRoom: false };
    });
  }

  /**
   * Fills in missing checksums for about `milliseconds`, each after the chunk was compared with SHA-256. Returns whether some are left.
   */
  fillChecksums(milliseconds: number): Promise<boolean> {
    return this.#mutex.run(async () => {
      if (!hasRoomFor(this.#path, 0)) return false;
      const until = performance.now() + milliseconds;
      for await (const _ of fillChecksums(this.#objects, () => breathe()))
        if (this.#closing || performance.now() >= until) return true;
      return false;
    });
  }

  /** Stops the work under way at the next chunk. */
  async close(): Promise<void> {
    this.#closing = true;
    await this.#mutex.settled();
  }
}
