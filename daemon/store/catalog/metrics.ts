/**
 * Stores metric points in blocks of columns: appended on arrival, merged when there are many small ones, so that a
 * million points are a few hundred rows and a query is a pass over typed arrays. Values keep their exact bits.
 */
import type { Catalog } from './catalog.ts';
import { ascends, cut, downsample, inOrder, isCoarse, join, outlineOf, type Points, rangeOf } from './points.ts';

/**
 * Part of a run's lineage: the points of `session` up to and including step `to`; later sessions have redone the rest.
 */
export interface Segment {
  session: string;
  to: number;
}

interface Block {
  series: number;
  first: number;
  count: number;
  /** Number of points of its outline. */
  outline: number | null;
  low: number;
  high: number;
}

const MERGE_COUNT = 16;
/** Size from which blocks are not merged any more, and have an outline. */
const LARGE_BLOCK_POINTS = 4096;
/** Limit of cached series; others are queried again. */
const MOST_REMEMBERED = 10_000;

/** Facts about a series' steps that are known without reading its points. */
interface Order {
  low: number;
  /** Step of the newest point. */
  last: number;
  /** True if some step is lower than one before it. */
  falls: boolean;
  /** True if the series' row has it. */
  noted: boolean;
}

export class Metrics {
  readonly #catalog: Catalog;
  readonly #ids = new Map<string, number>();
  readonly #orders = new Map<number, Order>();

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  /** Appends points, inside the caller's transaction. */
  append(session: string, name: string, points: Points): void {
    const database = this.#catalog.database;
    const series = this.#series(session, name);
    const first = Number(
      database.prepare('SELECT coalesce(max(first + points), 0) AS n FROM metric_block WHERE series = ?').get(series)!
        .n,
    );
    this.#noteOrder(series, points.steps);
    this.#insert(series, first, points);
    this.#mergeSmall(series);
  }

  names(session: string): string[] {
    return this.#catalog.database
      .prepare('SELECT name FROM series WHERE session = ? ORDER BY id')
      .all(session)
      .map((row) => String(row.name));
  }

  /** Counts the points of one session's series. */
  count(session: string, name: string): number {
    const row = this.#catalog.database
      .prepare(
        'SELECT coalesce(sum(points), 0) AS n FROM metric_block JOIN series ON series.id = metric_block.series WHERE session = ? AND name = ?',
      )
      .get(session, name)!;
    return Number(row.n);
  }

  /** Reads all points of one session's series, in order of arrival. */
  read(session: string, name: string): Points {
    const blocks = this.#catalog.database
      .prepare(
        'SELECT points, data FROM metric_block JOIN series ON series.id = metric_block.series WHERE session = ? AND name = ? ORDER BY first',
      )
      .all(session, name);
    return join(blocks.map((row) => decode(row.data, Number(row.points))));
  }

  /**
   * Reads the points of a lineage by step. If a step was logged again, in the same session or a later one, the newest
   * values count.
   */
  lineage(segments: readonly Segment[], name: string): Points {
    const parts = segments.map(({ session, to }) =>
      cut(inOrder([this.read(session, name)]), Number.NEGATIVE_INFINITY, to),
    );
    return inOrder(parts);
  }

  /**
   * Reads at most 2 × `buckets` points of a lineage after step `from` up to and including step `to`, and counts all. A
   * long curve is read from its outlines, a thirty-second of its bytes: either way each bucket keeps the smallest and
   * the largest value of all its points.
   */
  curve(
    segments: readonly Segment[],
    name: string,
    range: { from: number; to: number },
    buckets: number,
  ): { points: Points; total: number } {
    if (!this.#ascends(segments, name)) {
      const points = cut(this.lineage(segments, name), range.from, range.to);
      return { points: downsample(points, buckets), total: points.steps.length };
    }
    // Blocks inside the range may use the outline; for the others only their points tell how many are in the range.
    const parts = segments.flatMap(({ session, ...own }) => {
      const { from } = range;
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
    const coarse = isCoarse(total, buckets);
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

  /**
   * Lists blocks that may contain a point after step `from` up to and including `to`. Only blocks with an outline know
   * their steps.
   */
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
    if (this.#ids.size > MOST_REMEMBERED) this.#ids.clear();
    this.#ids.set(key, id);
    return id;
  }

  /** Clears the caches: ids may be reused after a transaction was rolled back or a run removed. */
  forgetIds(): void {
    this.#ids.clear();
    this.#orders.clear();
  }

  /** Tells whether the points of these sessions are in order as stored, one session after another. */
  #ascends(segments: readonly Segment[], name: string): boolean {
    let before = Number.NEGATIVE_INFINITY;
    for (const { session, to } of segments) {
      const row = this.#catalog.database
        .prepare('SELECT id FROM series WHERE session = ? AND name = ?')
        .get(session, name);
      const order = row && this.#order(Number(row.id));
      if (order && (order.falls || !(order.low > before))) return false;
      before = to;
    }
    return true;
  }

  #order(series: number): Order {
    const known = this.#orders.get(series);
    if (known) return known;
    const { database } = this.#catalog;
    const row = database.prepare('SELECT lowest_step, falls FROM series WHERE id = ?').get(series)!;
    // Null: new, or written by a version that did not record it.
    const order = row.falls === null ? orderOf(this.#steps(series)) : this.#noted(series, row);
    if (this.#orders.size > MOST_REMEMBERED) this.#orders.clear();
    this.#orders.set(series, order);
    return order;
  }

  #noted(series: number, row: { lowest_step?: unknown; falls?: unknown }): Order {
    const newest = this.#catalog.database
      .prepare('SELECT points, data FROM metric_block WHERE series = ? ORDER BY first DESC LIMIT 1')
      .get(series);
    const last = newest ? decode(newest.data, Number(newest.points)).steps.at(-1)! : Number.NEGATIVE_INFINITY;
    return { low: Number(row.lowest_step), falls: row.falls === 1, last, noted: true };
  }

  #steps(series: number): Float64Array {
    const blocks = this.#catalog.database
      .prepare('SELECT points, data FROM metric_block WHERE series = ? ORDER BY first')
      .all(series);
    return join(blocks.map((row) => decode(row.data, Number(row.points)))).steps;
  }

  #noteOrder(series: number, steps: Float64Array): void {
    const before = this.#order(series);
    const order = orderOf(steps, before);
    if (!before.noted || order.falls !== before.falls || order.low !== before.low)
      this.#catalog.database
        .prepare('UPDATE series SET lowest_step = ?, falls = ? WHERE id = ?')
        .run(order.low, order.falls ? 1 : 0, series);
    this.#orders.set(series, { ...order, noted: true });
  }

  #mergeSmall(series: number): void {
    const database = this.#catalog.database;
    const blocks = database
      .prepare('SELECT first, points FROM metric_block WHERE series = ? ORDER BY first DESC LIMIT 64')
      .all(series)
      .map((row) => ({ first: Number(row.first), points: Number(row.points) }));
    // Merges the newest blocks of one magnitude: 16 of them make one of the next, so each point moves few times.
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
  // A copy when the blob does not start at a multiple of 8, which Float64Array needs.
  const aligned = data.byteOffset % 8 === 0 ? data : data.slice();
  const all = new Float64Array(aligned.buffer, aligned.byteOffset, count * 3);
  return { steps: all.subarray(0, count), values: all.subarray(count, count * 2), times: all.subarray(count * 2) };
}

const NO_ORDER: Order = {
  low: Number.POSITIVE_INFINITY,
  last: Number.NEGATIVE_INFINITY,
  falls: false,
  noted: false,
};

/** Adds steps to the order of the earlier ones. */
function orderOf(steps: Float64Array, before = NO_ORDER): Order {
  if (steps.length === 0) return before;
  return {
    low: Math.min(before.low, rangeOf(steps)[0]),
    last: steps[steps.length - 1]!,
    falls: before.falls || !(steps[0]! >= before.last) || !ascends(steps),
    noted: before.noted,
  };
}
