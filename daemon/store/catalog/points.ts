/** Joins, cuts, sorts, thins and sums up points of a metric, which are columns. Pure. */
import type { MetricSummary } from '../../../protocol/domain.ts';
import { isBetter, toWireNumber } from '../../../protocol/numbers.ts';

/** Points of one series, in columns of equal length. Times are milliseconds since the epoch. */
export interface Points {
  steps: Float64Array;
  values: Float64Array;
  times: Float64Array;
}

/** Number of points in an outline's bucket. */
const OUTLINE_GROUP = 64;

export function join(parts: readonly Points[]): Points {
  if (parts.length === 1) return parts[0]!;
  const count = parts.reduce((sum, part) => sum + part.steps.length, 0);
  const out: Points = {
    steps: new Float64Array(count),
    values: new Float64Array(count),
    times: new Float64Array(count),
  };
  let at = 0;
  for (const part of parts) {
    out.steps.set(part.steps, at);
    out.values.set(part.values, at);
    out.times.set(part.times, at);
    at += part.steps.length;
  }
  return out;
}

/** Selects the points after step `from` up to and including step `to`. */
export function cut(points: Points, from: number, to: number): Points {
  const { steps } = points;
  if (steps.length === 0 || (steps[0]! > from && steps[steps.length - 1]! <= to && ascends(steps))) return points;
  return where(points, (i) => steps[i]! > from && steps[i]! <= to);
}

export function where(points: Points, keep: (index: number) => boolean): Points {
  const kept: number[] = [];
  for (let i = 0; i < points.steps.length; i++) if (keep(i)) kept.push(i);
  return pick(points, kept);
}

export function ascends(steps: Float64Array): boolean {
  for (let i = 1; i < steps.length; i++) if (!(steps[i]! >= steps[i - 1]!)) return false;
  return true;
}

/**
 * Sorts the points of successive sessions by step. A step that was logged again after others (done again, or evaluated
 * again) has only its newest values. Values logged for a step without another step in between all stay: scripts that do
 * not count steps log everything at one.
 */
export function inOrder(sessions: readonly Points[]): Points {
  const filled = sessions.filter(({ steps }) => steps.length > 0);
  const follows = filled.every(
    ({ steps }, i) => ascends(steps) && (i === 0 || steps[0]! > filled[i - 1]!.steps[filled[i - 1]!.steps.length - 1]!),
  );
  const all = join(filled);
  return follows ? all : pick(all, newestTellings(filled, all.steps));
}

/** Finds the indices of the newest values, by step. */
function newestTellings(sessions: readonly Points[], steps: Float64Array): number[] {
  const tellings = new Uint32Array(steps.length);
  const newest = new Map<number, number>();
  const starts = new Set<number>();
  let start = 0;
  for (const session of sessions) {
    starts.add(start);
    start += session.steps.length;
  }
  for (let i = 0, telling = 0; i < steps.length; i++) {
    if (starts.has(i) || steps[i] !== steps[i - 1]) telling++;
    tellings[i] = telling;
    newest.set(steps[i]!, telling);
  }
  const kept: number[] = [];
  // NaN is no step: nothing is found at it.
  for (let i = 0; i < steps.length; i++)
    if (!Number.isNaN(steps[i]) && tellings[i] === newest.get(steps[i]!)) kept.push(i);
  return kept.sort((a, b) => steps[a]! - steps[b]! || a - b);
}

/**
 * Thins to at most 2 × `buckets` points: the smallest and the largest value of each bucket, or one of them and the
 * first that is not finite. For equal values, the ends of the bucket. All buckets, also those of an outline, have equal
 * numbers of points.
 */
export function downsample(points: Points, buckets: number): Points {
  const count = points.steps.length;
  if (buckets <= 0 || count <= buckets * 2) return points;
  const keep: number[] = [];
  for (let bucket = 0; bucket < buckets; bucket++) {
    const start = Math.floor((bucket * count) / buckets);
    const end = Math.floor(((bucket + 1) * count) / buckets);
    let low = -1;
    let high = -1;
    let strange = -1;
    for (let i = start; i < end; i++) {
      const value = points.values[i]!;
      if (!Number.isFinite(value)) {
        if (strange < 0) strange = i;
        continue;
      }
      if (low < 0 || value < points.values[low]!) low = i;
      if (high < 0 || value > points.values[high]!) high = i;
    }
    const [one, other] = strange < 0 ? [low, high] : [strange, low < 0 ? strange : low];
    if (one === other) keep.push(start, end - 1);
    else keep.push(Math.min(one, other), Math.max(one, other));
  }
  return pick(points, keep);
}

export function outlineOf(points: Points): Points {
  return downsample(points, Math.ceil(points.steps.length / OUTLINE_GROUP));
}

/** Tells whether so many points, thinned to `buckets`, are drawn from their outlines. */
export function isCoarse(count: number, buckets: number): boolean {
  return buckets > 0 && count >= buckets * OUTLINE_GROUP * 2;
}

/** Finds the lowest and the highest step. Ignores NaN: such points are in no range. */
export function rangeOf(steps: Float64Array): [low: number, high: number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < steps.length; i++) {
    if (steps[i]! < low) low = steps[i]!;
    if (steps[i]! > high) high = steps[i]!;
  }
  return [low, high];
}

function pick({ steps, values, times }: Points, at: readonly number[]): Points {
  return {
    steps: Float64Array.from(at, (i) => steps[i]!),
    values: Float64Array.from(at, (i) => values[i]!),
    times: Float64Array.from(at, (i) => times[i]!),
  };
}

/** Sums up points; null: there are none. `last` is the value of the highest step, of equal steps the newest. */
export function summarize({ steps, values }: Points): MetricSummary | null {
  if (steps.length === 0) return null;
  let [last, low, high] = [0, -1, -1];
  let notFinite = 0;
  for (let i = 0; i < steps.length; i++) {
    const value = values[i]!;
    if (steps[i]! >= steps[last]!) last = i;
    if (!Number.isFinite(value)) notFinite++;
    if (isBetter('min', value, low < 0 ? null : values[low]!)) low = i;
    if (isBetter('max', value, high < 0 ? null : values[high]!)) high = i;
  }
  return {
    last: toWireNumber(values[last]!),
    lastStep: steps[last]!,
    min: low < 0 ? null : values[low]!,
    minStep: low < 0 ? null : steps[low]!,
    max: high < 0 ? null : values[high]!,
    maxStep: high < 0 ? null : steps[high]!,
    count: steps.length,
    notFinite,
  };
}

/** Merges the summary of earlier points with that of new ones. A step in both counts twice. */
export function withSummary(before: MetricSummary | undefined, since: MetricSummary): MetricSummary {
  if (!before) return since;
  const newer = since.lastStep >= before.lastStep ? since : before;
  const lower = since.min !== null && isBetter('min', since.min, before.min) ? since : before;
  const higher = since.max !== null && isBetter('max', since.max, before.max) ? since : before;
  return {
    last: newer.last,
    lastStep: newer.lastStep,
    min: lower.min,
    minStep: lower.minStep,
    max: higher.max,
    maxStep: higher.maxStep,
    count: before.count + since.count,
    notFinite: before.notFinite + since.notFinite,
  };
}
