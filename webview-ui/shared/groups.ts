/** Groups runs by a param, and reduces the curves of a group to their mean and how far they lie from it. Pure. */
import { counted } from '../../protocol/words.ts';
import type { RunRow } from '../contract.ts';
import { distinct } from './words.ts';

export interface Group {
  /** Value that its runs share, in words: `lr=0.1`. */
  label: string;
  runs: string[];
}

export interface Band {
  xs: Float64Array;
  mean: Float64Array;
  /** Mean minus and plus one standard deviation; equal to the mean where only one curve is. */
  low: Float64Array;
  high: Float64Array;
}

/** Points of a mean, beyond which a chart shows no difference. */
const MOST_POINTS = 500;

/** Facts about runs besides params, by keys that no param's name begins with. */
const FACTS: Readonly<Record<string, { title: string; of(row: RunRow): string | undefined }>> = {
  ':sweep': { title: 'sweep', of: ({ sweep }) => sweep ?? undefined },
  ':tags': { title: 'tags', of: ({ tags }) => tags.map((tag) => `#${tag}`).join(' ') || undefined },
  ':job': { title: 'job', of: ({ job }) => job },
  ':branch': { title: 'branch', of: ({ branch }) => branch ?? undefined },
};

/** Returns the words for a key of a grouping. */
export function groupingTitle(key: string): string {
  return Object.hasOwn(FACTS, key) ? FACTS[key]!.title : key;
}

/** Lists the facts, and then the params, by which these runs fall into groups: those with a value that differs. */
export function groupingsOf(rows: readonly RunRow[]): string[] {
  const names = [...new Set(rows.flatMap(({ params }) => Object.keys(params)))].sort();
  const differs = (value: (row: RunRow) => unknown) => new Set(rows.map((row) => JSON.stringify(value(row)))).size > 1;
  return [
    ...Object.keys(FACTS).filter((key) => differs(FACTS[key]!.of)),
    ...names.filter((name) => differs(({ params }) => params[name])),
  ];
}

/** Groups runs by a fact, or by the value of a param. Runs without it are a group of their own. */
export function groupsOf(rows: readonly RunRow[], by: string): Group[] {
  const groups = new Map<string, Group>();
  const fact = Object.hasOwn(FACTS, by) ? FACTS[by] : undefined;
  for (const row of rows) {
    const { id, params } = row;
    const value = fact ? fact.of(row) : Object.hasOwn(params, by) ? distinct(params[by]) : distinct(undefined);
    const label = fact ? (value ?? `no ${fact.title}`) : `${by}=${value}`;
    const key = fact ? label : value!;
    const group = groups.get(key) ?? { label, runs: [] };
    group.runs.push(id);
    groups.set(key, group);
  }
  // By size where all are numbers: as text, 0.001 comes after 0.1.
  const order = ([a]: [string, Group], [b]: [string, Group]) => Number(a) - Number(b) || a.localeCompare(b);
  return [...groups].sort(order).map(([, group]) => group);
}

export function labelOf({ label, runs }: Group): string {
  return `${label} (${counted(runs.length, 'run')})`;
}

interface Points {
  xs: ArrayLike<number>;
  ys: ArrayLike<number>;
}

/** Computes the mean of curves. Between its points a curve is a line; beyond its ends, and where it is not finite, it counts for nothing. */
export function bandOf(curves: readonly Points[]): Band {
  const all = [...new Set(curves.flatMap(({ xs }) => Array.from(xs)))].sort((a, b) => a - b);
  const each = Math.max(1, Math.ceil(all.length / MOST_POINTS));
  const places = all.filter((_, i) => i % each === 0 || i === all.length - 1);
  const readers = curves.map(readerOf);
  const found = places.map((x) => ({ x, values: readers.map((read) => read(x)).filter(Number.isFinite) }));
  const known = found.filter(({ values }) => values.length > 0);
  const mean = Float64Array.from(known, ({ values }) => values.reduce((sum, one) => sum + one, 0) / values.length);
  const spread = known.map(({ values }, i) =>
    values.length < 2
      ? 0
      : Math.sqrt(values.reduce((sum, one) => sum + (one - mean[i]!) ** 2, 0) / (values.length - 1)),
  );
  return {
    xs: Float64Array.from(known, ({ x }) => x),
    mean,
    low: mean.map((value, i) => value - spread[i]!),
    high: mean.map((value, i) => value + spread[i]!),
  };
}

/** Makes a reader of a curve that is asked for ascending places; NaN: it has no value there. */
function readerOf({ xs, ys }: Points): (x: number) => number {
  let at = 0;
  return (x) => {
    while (at < xs.length - 1 && xs[at + 1]! <= x) at++;
    if (xs.length === 0 || x < xs[0]! || x > xs[xs.length - 1]!) return Number.NaN;
    if (xs[at] === x || at === xs.length - 1) return ys[at]!;
    return ys[at]! + ((ys[at + 1]! - ys[at]!) * (x - xs[at]!)) / (xs[at + 1]! - xs[at]!);
  };
}
