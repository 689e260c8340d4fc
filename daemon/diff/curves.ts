/** Compares curves, whatever intervals they were logged at. Pure. */
import { inOrderOfPlaces } from '../../protocol/curves.ts';
import type { CurveAxis, MetricDiff, MetricSide } from '../../protocol/diff.ts';
import type { MetricSeries } from '../../protocol/domain.ts';
import { fromWireNumber, toWireNumber } from '../../protocol/numbers.ts';

export interface Curve {
  /** Steps, epochs or seconds; ascending; the last of equal ones counts. */
  positions: readonly number[];
  values: readonly number[];
}

export interface CurveSide {
  series: readonly MetricSeries[];
  /** Null: the length of an epoch is unknown. */
  stepsPerEpoch: number | null;
}

const NONE: Curve = { positions: [], values: [] };

/** Compares metrics in order of appearance. Without `stepsPerEpoch` a side has no curve by epochs. */
export function diffMetrics(sides: readonly CurveSide[], axis: CurveAxis): MetricDiff[] {
  const names = [...new Set(sides.flatMap(({ series }) => series.map(({ name }) => name)))];
  return names.map((name) => {
    const curves = sides.map((side) => curveOf(side, name, axis));
    const covered = coverage(curves);
    return { name, sides: curves.map((curve) => describe(curve, covered)), ...firstDifference(curves) };
  });
}

function curveOf({ series, stepsPerEpoch }: CurveSide, name: string, axis: CurveAxis): Curve {
  const found = series.find((one) => one.name === name);
  if (!found) return NONE;
  const values = found.values.map(fromWireNumber);
  if (axis === 'time') {
    const { places: positions, values: ordered } = inOrderOfPlaces(found.times, values);
    return { positions, values: ordered };
  }
  if (axis === 'step') return { positions: found.steps, values };
  return stepsPerEpoch === null ? NONE : { positions: found.steps.map((step) => step / stepsPerEpoch), values };
}

/** Finds the first common position at which two curves differ in any bit. */
export function firstDifference(curves: readonly Curve[]): { partsAt: number | null; common: number } {
  const [first, ...others] = curves.map(
    (curve) => new Map(curve.positions.map((position, i) => [position, curve.values[i]!])),
  );
  let common = 0;
  let partsAt: number | null = null;
  for (const [position, value] of first ?? []) {
    if (!others.every((other) => other.has(position))) continue;
    common++;
    if (partsAt === null && others.some((other) => !Object.is(other.get(position), value))) partsAt = position;
  }
  return { partsAt, common };
}

/**
 * Computes the area under straight lines between the points. Null where the curve does not cover the range, or has
 * values that are not finite.
 */
export function areaUnder(
  { positions, values }: Curve,
  from: number,
  to: number,
): { area: number; mean: number } | null {
  if (positions.length === 0 || positions[0]! > from || positions.at(-1)! < to) return null;
  if (from === to) return { area: 0, mean: valueAt(positions, values, from) };
  let area = 0;
  for (let i = 0; i + 1 < positions.length; i++) {
    const [left, right] = [Math.max(from, positions[i]!), Math.min(to, positions[i + 1]!)];
    if (right > left)
      area += ((valueAt(positions, values, left) + valueAt(positions, values, right)) / 2) * (right - left);
  }
  return Number.isFinite(area) ? { area, mean: area / (to - from) } : null;
}

function valueAt(positions: readonly number[], values: readonly number[], position: number): number {
  // Finds the first position that is not before it by bisection: curves have up to millions of points.
  let [low, high] = [0, positions.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (positions[middle]! < position) low = middle + 1;
    else high = middle;
  }
  if (positions[low] === position || low === 0) return values[low]!;
  const [left, right] = [positions[low - 1]!, positions[low]!];
  const share = (position - left) / (right - left);
  return values[low - 1]! * (1 - share) + values[low]! * share;
}

/** Returns the range that all curves cover; null: they do not meet. */
function coverage(curves: readonly Curve[]): [number, number] | null {
  if (curves.some(({ positions }) => positions.length === 0)) return null;
  const from = Math.max(...curves.map(({ positions }) => positions[0]!));
  const to = Math.min(...curves.map(({ positions }) => positions.at(-1)!));
  return from <= to ? [from, to] : null;
}

function describe(curve: Curve, covered: [number, number] | null): MetricSide {
  const numbers = curve.values.filter(Number.isFinite);
  const under = covered && areaUnder(curve, ...covered);
  const extreme = (pick: (a: number, b: number) => number) =>
    numbers.length > 0 ? toWireNumber(numbers.reduce((a, b) => pick(a, b))) : null;
  return {
    points: new Set(curve.positions).size,
    lastAt: curve.positions.at(-1) ?? null,
    last: curve.values.length > 0 ? toWireNumber(curve.values.at(-1)!) : null,
    min: extreme(Math.min),
    max: extreme(Math.max),
    area: under && toWireNumber(under.area),
    mean: under && toWireNumber(under.mean),
  };
}
