/** Messages about metrics and logs. */
import * as v from 'valibot';
import type { MetricSeries } from '../domain.ts';
import type { UsageSeries } from '../usage.ts';
import type { Notification } from './request.ts';
import { count, request, root, text } from './request.ts';

export const metricsQuery = request<{ series: MetricSeries[] }>()(
  'metrics/query',
  v.object({
    root,
    run: text,
    names: v.optional(v.array(text)),
    fromStep: v.optional(v.number()),
    toStep: v.optional(v.number()),
    /** Number of buckets; each keeps its smallest and its largest value. */
    buckets: v.optional(count),
  }),
);

/** Reads what a run used of the machine, as at most `buckets` points for each series; absent: 200. */
export const usageQuery = request<{ series: UsageSeries[] }>()(
  'usage/query',
  v.object({ root, run: text, buckets: v.optional(v.pipe(count, v.minValue(1))) }),
);

export interface LogPage {
  text: string;
  offset: number;
  ended: boolean;
}

/** Longest wait for output, and what one who follows a run asks for: a second request finds the daemon alive. */
export const LOG_WAIT_MS = 10_000;

/**
 * Reads the log of a run. `offset` counts bytes of everything ever printed; a line in the text says how many of them are no
 * longer kept. `last` starts that many bytes before the end instead. `ended`: nothing more will come. `waitMs`: without new
 * output, the answer comes with the first that is printed, with the run's end, or after this time.
 */
export const logRead = request<LogPage>()(
  'log/read',
  v.object({
    root,
    run: text,
    session: v.optional(text),
    offset: count,
    last: v.optional(count),
    waitMs: v.optional(v.pipe(count, v.maxValue(LOG_WAIT_MS))),
  }),
);

/** Place in a run's output from which the next page is requested. */
export type LogRequest = NonNullable<typeof logRead.params>;

/** New points. Lossy: at most 10 a second per run. */
export const metricsAppended: Notification<{ store: string; run: string; step: number; values: MetricSeries[] }> = {
  method: 'metrics/appended',
};
