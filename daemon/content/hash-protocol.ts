/** What passes between a writer and the thread that hashes what it writes. */

export interface HashSetup {
  path: string;
  /** Bytes that are written, whether those are all, and how often either was said. */
  written: BigInt64Array<SharedArrayBuffer>;
}

export const WRITTEN = 0;
export const ENDED = 1;
/** What is waited at: raised last, so that nothing is said between a look and the sleep. */
export const SAID = 2;
