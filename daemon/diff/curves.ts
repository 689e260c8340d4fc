/** Curves side by side, whatever rates they were logged at. Pure. */
import { inOrderOfPlaces } from '../../protocol/curves.ts';
import type { CurveAxis, MetricDiff, MetricSide } from '../../protocol/diff.ts';
import type { MetricSeries } from '../../protocol/domain.ts';
import { fromWireNumber, toWireNumber } from '../../protocol/numbers.ts';

export interface Curve {
  /** Steps, epochs or seconds; ascending; the last of equal ones counts. */
  places: readonly number[];
  values: readonly number[];
}

export interface CurveSide {
  series: readonly MetricSeries[];
  /** Null: nothing says how long an epoch is. */
  stepsPerEpoch: number | null;
}

const NONE: Curve = { places: [], values: [] };

/** Metrics in the order in which they are met. Without `stepsPerEpoch` a side has no curve by epochs. */
export function diffMetrics(sides: readonly CurveSide[], axis: CurveAxis): MetricDiff[] {
  const names = [...new Set(sides.flatMap(({ series }) => series.map(({ name }) => name)))];
  return names.map((name) => {
    const curves = sides.map((side) => curveOf(side, name, axis));
    const covered = coverage(curves);
    return { name, sides: curves.map((curve) => describe(curve, covered)), ...parting(curves) };
  });
}

function curveOf({ series, stepsPerEpoch }: CurveSide, name: string, axis: CurveAxis): Curve {
  const found = series.find((one) => one.name === name);
  if (!found) return NONE;
  const values = found.values.map(fromWireNumber);
  if (axis === 'time') return inOrderOfPlaces(found.times, values);
  if (axis === 'step') return { places: found.steps, values };
  return stepsPerEpoch === null ? NONE : { places: found.steps.map((step) => step / stepsPerEpoch), values };
}

/** The first common place at which two differ in any bit. */
export function parting(curves: readonly Curve[]): { partsAt: number | null; common: number } {
  const [first, ...others] = curves.map((curve) => new Map(curve.places.map((place, i) => [place, curve.values[i]!])));
  let common = 0;
  let partsAt: number | null = null;
  for (const [place, value] of first ?? []) {
    if (!others.every((other) => other.has(place))) continue;
    common++;
    if (partsAt === null && others.some((other) => !Object.is(other.get(place), value))) partsAt = place;
  }
  return { partsAt, common };
}

/** Of the area under straight lines between the points. Null where the curve does not reach, or holds what is no number. */
export function areaUnder({ places, values }: Curve, from: number, to: number): { area: number; mean: number } | null {
  if (places.length === 0 || places[0]! > from || places.at(-1)! < to) return null;
  if (from === to) return { area: 0, mean: at(places, values, from) };
  let area = 0;
  for (let i = 0; i + 1 < places.length; i++) {
    const [left, right] = [Math.max(from, places[i]!), Math.min(to, places[i + 1]!)];
    if (right > left) area += ((at(places, values, left) + at(places, values, right)) / 2) * (right - left);
  }
  return Number.isFinite(area) ? { area, mean: area / (to - from) } : null;
}

function at(places: readonly number[], values: readonly number[], place: number): number {
  // The first that is not before it: curves have up to millions of points.
  let [low, high] = [0, places.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (places[middle]! < place) low = middle + 1;
    else high = middle;
  }
  if (places[low] === place || low === 0) return values[low]!;
  const [left, right] = [places[low - 1]!, places[low]!];
  const share = (place - left) / (right - left);
  return values[low - 1]! * (1 - share) + values[low]! * share;
}

/** The places that all curves reach; null: they do not meet. */
function coverage(curves: readonly Curve[]): [number, number] | null {
  if (curves.some(({ places }) => places.length === 0)) return null;
  const from = Math.max(...curves.map(({ places }) => places[0]!));
  const to = Math.min(...curves.map(({ places }) => places.at(-1)!));
  return from <= to ? [from, to] : null;
}

function describe(curve: Curve, covered: [number, number] | null): MetricSide {
  const numbers = curve.values.filter(Number.isFinite);
  const under = covered && areaUnder(curve, ...covered);
  const extreme = (pick: (a: number, b: number) => number) =>
    numbers.length > 0 ? toWireNumber(numbers.reduce((a, b) => pick(a, b))) : null;
  return {
    points: new Set(curve.places).size,
    lastAt: curve.places.at(-1) ?? null,
    last: curve.values.length > 0 ? toWireNumber(curve.values.at(-1)!) : null,
    min: extreme(Math.min),
    max: extreme(Math.max),
    area: under && toWireNumber(under.area),
    mean: under && toWireNumber(under.mean),
  };
}
