/**
 * Metric points in blocks of columns: appended as they come, merged when many small ones have gathered, so that a
 * million points are a few hundred rows and a query is a walk over typed arrays. Values keep their exact bits.
 */
import type { MetricSummary } from '../../protocol/domain.ts';
import type { Catalog } from './catalog.ts';

/** Points of one series: equal lengths. Times are milliseconds since the epoch. */
export interface Points {
  steps: Float64Array;
  values: Float64Array;
  times: Float64Array;
}

/** A stretch of a run's lineage: the points of `session` after step `from` up to and with step `to`. */
export interface Segment {
  session: string;
  from: number;
  to: number;
}

const MERGE_COUNT = 16;
const LARGE_BLOCK_POINTS = 4096;

export class Metrics {
  readonly #catalog: Catalog;
  readonly #ids = new Map<string, number>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Inside the caller's transaction. */
  append(session: string, name: string, points: Points): void {
    const database = this.#catalog.database;
    const series = this.#series(session, name);
    const first = Number(
      database.prepare('SELECT coalesce(max(first + points), 0) AS n FROM metric_block WHERE series = ?').get(series)!
        .n,
    );
    database
      .prepare('INSERT INTO metric_block (series, first, points, data) VALUES (?, ?, ?, ?)')
      .run(series, first, points.steps.length, encode(points));
    this.#mergeSmall(series);
  }

  names(session: string): string[] {
    return this.#catalog.database
      .prepare('SELECT name FROM series WHERE session = ? ORDER BY id')
      .all(session)
      .map((row) => String(row.name));
  }

  /** All points of one session's series, in the order they came. */
  read(session: string, name: string): Points {
    const blocks = this.#catalog.database
      .prepare(
        'SELECT points, data FROM metric_block JOIN series ON series.id = metric_block.series WHERE session = ? AND name = ? ORDER BY first',
      )
      .all(session, name);
    return join(blocks.map((row) => decode(row.data, Number(row.points))));
  }

  /** The points of a lineage, with hidden ones (steps done again by a later session) left out. */
  lineage(segments: readonly Segment[], name: string): Points {
    return join(segments.map(({ session, from, to }) => cut(this.read(session, name), from, to)));
  }

  lineageNames(segments: readonly Segment[]): string[] {
    return [...new Set(segments.flatMap(({ session }) => this.names(session)))];
  }

  #series(session: string, name: string): number {
    const key = `${session}\0${name}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    const database = this.#catalog.database;
    database.prepare('INSERT OR IGNORE INTO series (session, name) VALUES (?, ?)').run(session, name);
    const id = Number(database.prepare('SELECT id FROM series WHERE session = ? AND name = ?').get(session, name)!.id);
    if (this.#ids.size > 10_000) this.#ids.clear();
    this.#ids.set(key, id);
    return id;
  }

  /** Ids may be given again after a transaction was rolled back or a run removed. */
  forgetIds(): void {
    this.#ids.clear();
  }

  #mergeSmall(series: number): void {
    const database = this.#catalog.database;
    const blocks = database
      .prepare('SELECT first, points FROM metric_block WHERE series = ? ORDER BY first DESC LIMIT 64')
      .all(series)
      .map((row) => ({ first: Number(row.first), points: Number(row.points) }));
    // The newest blocks of one magnitude; merging 16 of them makes one of the next, so each point moves few times.
    const tier = magnitude(blocks[0]!.points);
    let same = 0;
    while (same < blocks.length && magnitude(blocks[same]!.points) <= tier) same++;
    if (same < MERGE_COUNT || tier >= magnitude(LARGE_BLOCK_POINTS)) return;
    const oldest = blocks[same - 1]!.first;
    const rows = database
      .prepare('SELECT points, data FROM metric_block WHERE series = ? AND first >= ? ORDER BY first')
      .all(series, oldest);
    const merged = join(rows.map((row) => decode(row.data, Number(row.points))));
    database.prepare('DELETE FROM metric_block WHERE series = ? AND first >= ?').run(series, oldest);
    database
      .prepare('INSERT INTO metric_block (series, first, points, data) VALUES (?, ?, ?, ?)')
      .run(series, oldest, merged.steps.length, encode(merged));
    this.#mergeSmall(series);
  }
}

function magnitude(points: number): number {
  return Math.floor(Math.log2(points) / 4);
}

function encode({ steps, values, times }: Points): Uint8Array {
  const count = steps.length;
  const out = new Float64Array(count * 3);
  out.set(steps, 0);
  out.set(values, count);
  out.set(times, count * 2);
  return new Uint8Array(out.buffer);
}

function decode(data: Uint8Array, count: number): Points {
  // A copy when the blob does not start at a multiple of 8, which Float64Array asks for.
  const aligned = data.byteOffset % 8 === 0 ? data : data.slice();
  const all = new Float64Array(aligned.buffer, aligned.byteOffset, count * 3);
  return { steps: all.subarray(0, count), values: all.subarray(count, count * 2), times: all.subarray(count * 2) };
}

function join(parts: readonly Points[]): Points {
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

export function cut(points: Points, from: number, to: number): Points {
  const { steps } = points;
  if (steps.length === 0 || (steps[0]! > from && steps[steps.length - 1]! <= to && isSorted(steps))) return points;
  const keep: number[] = [];
  for (let i = 0; i < steps.length; i++) if (steps[i]! > from && steps[i]! <= to) keep.push(i);
  return {
    steps: Float64Array.from(keep, (i) => steps[i]!),
    values: Float64Array.from(keep, (i) => points.values[i]!),
    times: Float64Array.from(keep, (i) => points.times[i]!),
  };
}

function isSorted(steps: Float64Array): boolean {
  for (let i = 1; i < steps.length; i++) if (steps[i]! < steps[i - 1]!) return false;
  return true;
}

/** At most 2 × `buckets` points: of each bucket the smallest and the largest value, and every non-finite stretch's first. */
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
    const chosen = [...new Set(strange >= 0 ? [strange, low] : [low, high])].filter((i) => i >= 0);
    keep.push(...chosen.sort((a, b) => a - b));
  }
  return {
    steps: Float64Array.from(keep, (i) => points.steps[i]!),
    values: Float64Array.from(keep, (i) => points.values[i]!),
    times: Float64Array.from(keep, (i) => points.times[i]!),
  };
}

export function summarize({ steps, values }: Points): MetricSummary | null {
  if (steps.length === 0) return null;
  const at = steps.length - 1;
  let low = -1;
  let high = -1;
  for (let i = 0; i <= at; i++) {
    const value = values[i]!;
    if (Number.isNaN(value)) continue;
    if (low < 0 || value < values[low]!) low = i;
    if (high < 0 || value > values[high]!) high = i;
  }
  if (low < 0) low = high = at;
  return {
    last: values[at]!,
    lastStep: steps[at]!,
    min: values[low]!,
    minStep: steps[low]!,
    max: values[high]!,
    maxStep: steps[high]!,
    count: steps.length,
  };
}
