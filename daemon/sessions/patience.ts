/** At the end of a training nobody tries again later: a disk that is full now may have room in a moment. */
import { setTimeout as delay } from 'node:timers/promises';

const END_PATIENCE_MS = 600_000;
const RETRY_MS = 1_000;

/** Tries until it works, for ten minutes at most, or until somebody is impatient. False: it failed. */
export async function patiently(work: () => boolean | Promise<boolean>, isImpatient: () => boolean): Promise<boolean> {
  const until = performance.now() + END_PATIENCE_MS;
  while (!(await work())) {
    if (performance.now() > until || isImpatient()) return false;
    await delay(RETRY_MS);
  }
  return true;
}
