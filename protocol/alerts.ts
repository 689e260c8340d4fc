/** Rules in `trainstash.json` for trouble that is worth telling, and whom to tell. */
import * as v from 'valibot';
import { described } from './described.ts';

const TIME = /^\s*(\d+(?:\.\d+)?)\s*(s|m|h)\s*$/;
const SIZE = /^\s*(\d+(?:\.\d+)?)\s*(MB|GB|TB)\s*$/;
const SHARE = /^\s*(\d+(?:\.\d+)?)\s*%\s*$/;

export const alertsSchema = v.strictObject({
  nan: v.optional(
    described('Whether any metric that becomes NaN or infinite is told; it is unless this is false.', v.boolean()),
  ),
  plateau: v.optional(
    described(
      'Tells when a metric has not become better for so many steps.',
      v.strictObject({
        metric: v.optional(
          described(
            'Metric: `val_loss`, or `max:val_acc`. Absent: the one that the run is judged by, else `loss`.',
            v.string(),
          ),
        ),
        steps: described('Number of steps without a better value.', v.pipe(v.number(), v.integer(), v.minValue(1))),
      }),
    ),
  ),
  noStep: v.optional(
    described('Time without a step after which it is told, such as `10m`.', v.pipe(v.string(), v.regex(TIME))),
  ),
  diskFree: v.optional(
    described(
      'Free space on the disk of the project below which it is told, such as `5GB`.',
      v.pipe(v.string(), v.regex(SIZE)),
    ),
  ),
  memoryUsed: v.optional(
    described(
      'Share of the machine’s memory in use above which it is told, such as `95%`.',
      v.pipe(v.string(), v.regex(SHARE)),
    ),
  ),
});
export type Alerts = v.InferOutput<typeof alertsSchema>;

export const notifySchema = v.union([
  v.pipe(v.string(), v.nonEmpty()),
  v.pipe(v.array(v.string()), v.minLength(1), v.maxLength(100)),
]);

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600 };
const BYTES: Readonly<Record<string, number>> = { MB: 1e6, GB: 1e9, TB: 1e12 };

export function secondsIn(text: string): number {
  const [, number, unit] = TIME.exec(text) ?? [];
  return Number(number) * SECONDS[unit!]!;
}

export function bytesIn(text: string): number {
  const [, number, unit] = SIZE.exec(text) ?? [];
  return Number(number) * BYTES[unit!]!;
}

export function shareIn(text: string): number {
  return Number(SHARE.exec(text)?.[1]) / 100;
}

/** Codes of the notices by which the rules tell. Each has another, with `Over` at its end, for the end of the trouble. */
export const ALERT_CODES = ['nonFinite', 'plateau', 'noStep', 'diskLow', 'memoryLow'] as const;
export type AlertCode = (typeof ALERT_CODES)[number];

/** Finds the alert that holds now: the newest whose end was not told; null: there is none. */
export function alertNow<N extends { code: string }>(notices: readonly N[]): N | null {
  const over = new Set<string>();
  for (const notice of [...notices].reverse()) {
    if (notice.code.endsWith('Over')) over.add(notice.code.slice(0, -'Over'.length));
    else if ((ALERT_CODES as readonly string[]).includes(notice.code) && !over.has(notice.code)) return notice;
  }
  return null;
}

/** Codes of notices that are told by `notify`, beside those of the rules and the failure of a run. */
export const TOLD_CODES: ReadonlySet<string> = new Set([
  ...ALERT_CODES,
  'nan',
  'spike',
  'stalled',
  'saveFailed',
  'notReproduced',
]);
