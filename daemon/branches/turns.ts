/**
 * Lets work on a worktree's files run one after the other. What runs write is gathered for a moment, since for each record git is asked
 * and the list of files is written, and a script can write hundreds in a second; other work comes after what was gathered before it.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Mutex } from '../../base/mutex.ts';
import type { RawPath } from './paths.ts';

const GATHER_MS = 100;

/** Files of a worktree that a run wrote. */
export interface Written {
  run: string;
  paths: readonly RawPath[];
}

export class Turns {
  readonly #mutex = new Mutex();
  readonly #record: (written: readonly Written[]) => Promise<void>;
  readonly #failed: (error: Error) => void;
  #gathered: Written[] = [];

  constructor(record: (written: readonly Written[]) => Promise<void>, failed: (error: Error) => void) {
    this.#record = record;
    this.#failed = failed;
  }

  run<T>(work: () => Promise<T>): Promise<T> {
    return this.#mutex.run(async () => {
      await this.#recordGathered();
      return work();
    });
  }

  /** Records files after a moment, or before the next work. */
  async written(written: Written): Promise<void> {
    this.#gathered.push(written);
    if (this.#gathered.length > 1) return;
    await delay(GATHER_MS);
    await this.settled();
  }

  /** Waits for all work and records that were given until now. */
  settled(): Promise<void> {
    return this.run(async () => {});
  }

  /** A failure is told, and costs nobody else's work. */
  async #recordGathered(): Promise<void> {
    const written = this.#gathered;
    this.#gathered = [];
    if (written.length > 0) await this.#record(written).catch(this.#failed);
  }
}
