/**
 * Numbers of metrics: how they pass through JSON, which can be the best, and which mean that a training has diverged.
 * `python/src/trainstash/numbers.py` has the same rules for Python; `test/fixtures/numbers.json` tests both.
 */
import * as v from 'valibot';
import type { Monitor } from './domain.ts';

/**
 * A number as JSON can hold it. Values that JSON cannot express are strings, and so is −0, whose sign JSON.stringify drops.
 * Every double comes back with its bits, except that there is only one NaN, whatever its payload was.
 */
export type WireNumber = number | 'NaN' | 'Infinity' | '-Infinity' | '-0';

const TEXTS = ['NaN', 'Infinity', '-Infinity', '-0'] as const;

export function toWireNumber(value: number): WireNumber {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : value;
  return String(value) as WireNumber;
}

/** Converts a wire number to a double. Null means NaN: older versions wrote NaN as null. */
export function fromWireNumber(value: WireNumber | null): number {
  return typeof value === 'number' ? value : value === null ? Number.NaN : Number(value);
}

export function toWireNumbers(values: Readonly<Record<string, number>>): Record<string, WireNumber> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, toWireNumber(value)]));
}

/** Parses a number as programs print it: `nan`, `-nan(ind)`, `inf`, `-Infinity`, `1.#QNAN`, `∞`; null: not a number. */
export function readNumber(text: string): number | null {
  const lower = text.toLowerCase();
  if (/^[+-]?(nan(\(\w*\))?|1\.#(qnan|snan|ind))$/.test(lower)) return Number.NaN;
  if (/^[+-]?(inf(inity)?|∞|1\.#inf)$/.test(lower))
    return lower.startsWith('-') ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  return /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/.test(lower) ? Number(lower) : null;
}

/** Checks a wire number without a schema, which would cost more than the rest of an event. Null counts as NaN. */
export function isWireNumber(value: unknown): value is WireNumber | null {
  return typeof value === 'number' || value === null || (TEXTS as readonly unknown[]).includes(value);
}

export const wireNumberSchema = v.pipe(
  v.custom<WireNumber | null>(isWireNumber, 'must be a number, "NaN", "Infinity", "-Infinity" or "-0"'),
  v.transform((value): WireNumber => value ?? 'NaN'),
);

const MARK = '$number';

/** Replacer and reviver for JSON in which any string may stand beside the numbers. */
export const markNumbers = (_key: string, value: unknown): unknown => {
  const wire = typeof value === 'number' ? toWireNumber(value) : null;
  return typeof wire === 'string' ? { [MARK]: wire } : value;
};
export const unmarkNumbers = (_key: string, value: unknown): unknown => {
  const text = (value as { [MARK]?: unknown } | null)?.[MARK];
  return typeof text === 'string' ? Number(text) : value;
};

/**
 * Tells whether a value is better than the best so far (null: there is none). Only finite values can be the best: NaN means
 * nothing, and a training with an infinite metric has diverged, whichever direction is better. Of equal values the earlier
 * one stays. Retention, `@best`, the trainers, early stopping and all displays follow this rule.
 */
export function isBetter(mode: Monitor['mode'], value: number, best: number | null): boolean {
  if (!Number.isFinite(value)) return false;
  return best === null || (mode === 'min' ? value < best : value > best);
}

/** Lookup of a metric's newest value; undefined: none was reported. */
type Newest = (metric: string) => WireNumber | null | undefined;

/** Lists the metrics that are watched for non-finite values: `loss`, and the run's monitor. */
export function watchedMetrics(monitor: Monitor | null): string[] {
  return monitor && monitor.metric !== 'loss' ? ['loss', monitor.metric] : ['loss'];
}

/** Finds the watched metric whose newest value is not finite, which is worth a warning; null: there is none. */
export function alarmingMetric(monitor: Monitor | null, newest: Newest): string | null {
  return watchedMetrics(monitor).find((metric) => isAlarming(newest(metric))) ?? null;
}

/**
 * Tells whether the state behind these metrics counts as diverged: its loss is not finite. If a training reports no `loss`, the
 * monitored metric decides. Otherwise it does not, since an evaluation can fail on intact weights.
 */
export function hasDiverged(monitor: Monitor | null, newest: Newest): boolean {
  const loss = newest('loss');
  return isAlarming(loss === undefined && monitor ? newest(monitor.metric) : loss);
}

function isAlarming(value: WireNumber | null | undefined): boolean {
  return value !== undefined && !Number.isFinite(fromWireNumber(value));
}
