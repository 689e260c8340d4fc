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

interface Block {
  series: number;
  first: number;
  count: number;
  /** Points of its outline. */
  outline: number | null;
  low: number;
  high: number;
}

const MERGE_COUNT = 16;
/** Blocks of so many points stay as they are, and have an outline. */
const LARGE_BLOCK_POINTS = 4096;
/** Points of which an outline keeps two. */
const OUTLINE_GROUP = 64;

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
    this.#insert(series, first, points);
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

  /**
   * At most 2 × `buckets` points of a lineage after step `from` up to and with step `to`, and how many there are. A long
   * curve is read from its outlines, a thirty-second of its bytes: the smallest and the largest value of each bucket
   * are those of all its points either way.
   */
  curve(
    segments: readonly Segment[],
    name: string,
    range: { from: number; to: number },
    buckets: number,
  ): { points: Points; total: number } {
    // What lies whole in the range may be outlined; of the rest only its points tell how many of them are in it.
    const parts = segments.flatMap(({ session, ...own }) => {
      const from = Math.max(own.from, range.from);
      const to = Math.min(own.to, range.to);
      return this.#blocks(session, name, from, to).map((block) => {
        const inside = block.outline !== null && block.low > from && block.high <= to;
        const points = inside
          ? null
          : cut(this.#read('metric_block', block.series, block.first, block.count), from, to);
        return { block, points, count: points?.steps.length ?? block.count };
      });
    });
    const total = parts.reduce((sum, { count }) => sum + count, 0);
    const coarse = buckets > 0 && total >= buckets * OUTLINE_GROUP * 2;
    const read = parts.map(({ block: { series, first, count, outline }, points }) => {
      if (points) return coarse ? outlineOf(points) : points;
      return coarse
        ? this.#read('metric_outline', series, first, outline!)
        : this.#read('metric_block', series, first, count);
    });
    return { points: downsample(join(read), buckets), total };
  }

  lineageNames(segments: readonly Segment[]): string[] {
    return [...new Set(segments.flatMap(({ session }) => this.names(session)))];
  }

  /** Those that may hold a point after step `from` up to and with `to`. Only outlined ones know their steps. */
  #blocks(session: string, name: string, from: number, to: number): Block[] {
    return this.#catalog.database
      .prepare(
        `SELECT block.series AS series, block.first AS first, block.points AS count,
           outline.points AS outline, low_step, high_step
         FROM series JOIN metric_block AS block ON block.series = series.id
         LEFT JOIN metric_outline AS outline ON outline.series = block.series AND outline.first = block.first
         WHERE session = ? AND name = ? ORDER BY block.first`,
      )
      .all(session, name)
      .map((row) => ({
        series: Number(row.series),
        first: Number(row.first),
        count: Number(row.count),
        outline: row.outline === null ? null : Number(row.outline),
        low: Number(row.low_step),
        high: Number(row.high_step),
      }))
      .filter(({ outline, low, high }) => outline === null || (high > from && low <= to));
  }

  #read(table: 'metric_block' | 'metric_outline', series: number, first: number, count: number): Points {
    const row = this.#catalog.database
      .prepare(`SELECT data FROM ${table} WHERE series = ? AND first = ?`)
      .get(series, first)!;
    return decode(row.data, count);
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
    this.#insert(series, oldest, merged);
    this.#mergeSmall(series);
  }

  #insert(series: number, first: number, points: Points): void {
    const count = points.steps.length;
    this.#catalog.database
      .prepare('INSERT INTO metric_block (series, first, points, data) VALUES (?, ?, ?, ?)')
      .run(series, first, count, encode(points));
    if (count < LARGE_BLOCK_POINTS) return;
    const outline = outlineOf(points);
    this.#catalog.database
      .prepare(
        'INSERT INTO metric_outline (series, first, points, low_step, high_step, data) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(series, first, outline.steps.length, ...rangeOf(points.steps), encode(outline));
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
  return pick(points, keep);
}

function isSorted(steps: Float64Array): boolean {
  for (let i = 1; i < steps.length; i++) if (steps[i]! < steps[i - 1]!) return false;
  return true;
}

/**
 * At most 2 × `buckets` points: of each bucket the smallest and the largest value, or one of them and the first that is
 * not finite. Of equal values the bucket's ends. Buckets have equal counts of points, and so have those of an outline.
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

function outlineOf(points: Points): Points {
  return downsample(points, Math.ceil(points.steps.length / OUTLINE_GROUP));
}

/** NaN is no step: such points are in no range, as nowhere else. */
function rangeOf(steps: Float64Array): [low: number, high: number] {
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
