/** Curves side by side, whatever rates they were logged at. Pure. */
import type { MetricDiff, MetricSide } from '../../protocol/diff.ts';
import { fromWireNumber, type MetricSeries, toWireNumber } from '../../protocol/domain.ts';

export interface Curve {
  /** Ascending; the last of equal ones counts. */
  steps: readonly number[];
  values: readonly number[];
}

const NONE: Curve = { steps: [], values: [] };

/** `sides[i]`: all series of that side. Metrics in the order in which they are met. */
export function diffMetrics(sides: readonly (readonly MetricSeries[])[]): MetricDiff[] {
  const names = [...new Set(sides.flatMap((series) => series.map(({ name }) => name)))];
  return names.map((name) => {
    const curves = sides.map((series) => curveOf(series.find((one) => one.name === name)));
    const covered = coverage(curves);
    return { name, sides: curves.map((curve) => describe(curve, covered)), ...parting(curves) };
  });
}

export function curveOf(series: MetricSeries | undefined): Curve {
  return series ? { steps: series.steps, values: series.values.map(fromWireNumber) } : NONE;
}

/** The first common step at which two differ in any bit. */
export function parting(curves: readonly Curve[]): { partsAt: number | null; common: number } {
  const [first, ...others] = curves.map((curve) => new Map(curve.steps.map((step, i) => [step, curve.values[i]!])));
  let common = 0;
  let partsAt: number | null = null;
  for (const [step, value] of first ?? []) {
    if (!others.every((other) => other.has(step))) continue;
    common++;
    if (partsAt === null && others.some((other) => !Object.is(other.get(step), value))) partsAt = step;
  }
  return { partsAt, common };
}

/**
 * The area under straight lines between the points from `from` to `to`, divided by their distance. Null where the curve does
 * not reach, or holds what is no number.
 */
export function meanHeight({ steps, values }: Curve, from: number, to: number): number | null {
  if (steps.length === 0 || steps[0]! > from || steps.at(-1)! < to) return null;
  if (from === to) return at(steps, values, from);
  let area = 0;
  for (let i = 0; i + 1 < steps.length; i++) {
    const [left, right] = [Math.max(from, steps[i]!), Math.min(to, steps[i + 1]!)];
    if (right > left) area += ((at(steps, values, left) + at(steps, values, right)) / 2) * (right - left);
  }
  return Number.isFinite(area) ? area / (to - from) : null;
}

function at(steps: readonly number[], values: readonly number[], step: number): number {
  const next = steps.findIndex((known) => known >= step);
  if (steps[next] === step || next === 0) return values[next]!;
  const [left, right] = [steps[next - 1]!, steps[next]!];
  const share = (step - left) / (right - left);
  return values[next - 1]! * (1 - share) + values[next]! * share;
}

/** The steps that all curves reach; null: they do not meet. */
function coverage(curves: readonly Curve[]): [number, number] | null {
  if (curves.some(({ steps }) => steps.length === 0)) return null;
  const from = Math.max(...curves.map(({ steps }) => steps[0]!));
  const to = Math.min(...curves.map(({ steps }) => steps.at(-1)!));
  return from <= to ? [from, to] : null;
}

function describe(curve: Curve, covered: [number, number] | null): MetricSide {
  const finite = curve.values.filter((value) => !Number.isNaN(value));
  const mean = covered && meanHeight(curve, ...covered);
  const extreme = (pick: (a: number, b: number) => number) =>
    finite.length > 0 ? toWireNumber(finite.reduce((a, b) => pick(a, b))) : null;
  return {
    points: curve.values.length,
    lastStep: curve.steps.at(-1) ?? null,
    last: curve.values.length > 0 ? toWireNumber(curve.values.at(-1)!) : null,
    min: extreme(Math.min),
    max: extreme(Math.max),
    mean: mean === null ? null : toWireNumber(mean),
  };
}
