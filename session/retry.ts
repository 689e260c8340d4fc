/** Longest retry at the end of a training, when nobody tries again later: a full disk may get space soon. */
import { setTimeout as delay } from 'node:timers/promises';

const END_RETRY_MS = 600_000;
const RETRY_MS = 1_000;

/**
 * Retries until it works, for at most ten minutes or until the user does not want to wait. Returns false if it failed.
 */
export async function retryUntil(work: () => boolean | Promise<boolean>, givesUp: () => boolean): Promise<boolean> {
  const until = performance.now() + END_RETRY_MS;
  while (!(await work())) {
    if (performance.now() > until || givesUp()) return false;
    await delay(RETRY_MS);
  }
  return true;
}
