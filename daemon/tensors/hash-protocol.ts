/** Shared state of a writer and the thread that hashes its file. */

export interface HashSetup {
  path: string;
  /** Counters: bytes written, whether those are all, and the number of updates. */
  written: BigInt64Array<SharedArrayBuffer>;
}

export const WRITTEN = 0;
export const ENDED = 1;
/** Counter to wait on. It is raised last, so that no update is missed between reading and sleeping. */
export const UPDATES = 2;
