/** Reads a run's output as it comes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { LOG_WAIT_MS, type LogPage, type LogRequest, logRead } from '../protocol/messages/metrics.ts';
import type { Request } from '../protocol/messages/request.ts';

/** A daemon of an earlier version does not wait. Without a pause its empty answers would keep both busy. */
const AT_LEAST_MS = 300;

/** Requests the next page, and waits until there is one. Returns an empty one after `LOG_WAIT_MS`. */
export async function nextLogPage(
  request: <P, R>(message: Request<P, R>, params: P) => Promise<R>,
  place: LogRequest,
): Promise<LogPage> {
  const asked = performance.now();
  const page = await request(logRead, { ...place, waitMs: LOG_WAIT_MS });
  if (!page.text && !page.ended && performance.now() - asked < AT_LEAST_MS) await sleep(AT_LEAST_MS);
  return page;
}
