/**
 * Making a store smaller when nobody waits for it. Of every few successive checkpoints of a run one stays by itself, and
 * the others become deltas to their neighbours:
 *
 *     6 → 4 → 3 → ● ← 1 ← 2            (● the middle, → is a delta to)
 *         5 → 4       3, 4, 5, 6 as on the other side
 *
 * Only how chunks are stored changes, never what is saved. A chunk is replaced after it was decoded again and compared.
 */

import { isError } from '../../protocol/errors.ts';
import { MAX_ROW } from './chunks.ts';
import type { Coders } from './coders.ts';
import type { Objects, SavedRow } from './objects.ts';
import { pagesOf } from './pages.ts';
import { bodyOf } from './rows.ts';
import { type EncodedChunk, MAX_STACK } from './stack.ts';

/** Checkpoints that are packed together, and so lie between two that stay by themselves. */
export const BLOCK = 13;
/** A chunk is read with what it is a delta to: never more than this many times its size in all. */
const MAX_READ = 3;
/** What a delta usually takes: a base with which it would be too much is not tried. */
const USUAL_DELTA = 0.6;
/** Smaller chunks lie together on one page: there is nothing to win. */
const MIN_BYTES = 32 << 10;

/**
 * Packs what there is to pack; yields after each chunk by how many bytes it became smaller. May be left at any time.
 * Checkpoints made after `before` are left alone: they are the ones that are resumed from, and as fast as can be. Of a live
 * run only whole blocks are packed, since more checkpoints will come.
 */
export async function* pack(
  objects: Objects,
  coders: Coders,
  before: number,
  isLive: (run: string) => boolean,
): AsyncGenerator<number, void> {
  for (const run of runsToPack(objects, before)) {
    for (const block of unpackedBlocks(objects, run, before)) {
      if (block.length < BLOCK && isLive(run)) break;
      for (const { index, base } of orderOf(block.length))
        yield* packRow(objects, coders, block[index]!, base === null ? null : block[base]!);
    }
  }
}

/** The rows of a block in the order in which they are packed, a base before what is a delta to it. */
export function orderOf(length: number): { index: number; base: number | null }[] {
  const middle = length >> 1;
  const order: { index: number; base: number | null }[] = [{ index: middle, base: null }];
  for (let distance = 1; distance <= middle; distance++) {
    for (const side of [-1, 1]) {
      const index = middle + side * distance;
      if (index >= 0 && index < length) order.push({ index, base: middle + side * baseDistance(distance, middle) });
    }
  }
  return order;
}

/** As in the picture above. With only three on a side they stand in one row: three deltas are not yet too many. */
function baseDistance(distance: number, onASide: number): number {
  if (distance === 3 && onASide > 3) return 0;
  return distance === 6 ? 4 : distance - 1;
}

/**
 * Takes a chunk out of the way of its deletion: what is a delta to it becomes one to `base`, or, without one, to the first of
 * them. False when one is damaged: then it stays.
 */
export async function rebase(objects: Objects, coders: Coders, chunk: number, base: number | null): Promise<boolean> {
  let next = base;
  for (const dependant of objects.dependantsOf(chunk)) {
    if ((await recode(objects, coders, dependant, next)) === null) return false;
    next ??= dependant;
  }
  return true;
}

/** Bytes of the checkpoints that have not been packed, of whatever age. */
export function unpackedBytes(objects: Objects): number {
  const { bytes } = objects.database
    .prepare(
      `SELECT sum(c.size) AS bytes FROM saved s JOIN saved_chunk p ON p.saved = s.seq JOIN chunk c ON c.id = p.chunk WHERE ${UNPACKED}`,
    )
    .get(Number.MAX_SAFE_INTEGER)!;
  return Number(bytes ?? 0);
}

type Row = Pick<SavedRow, 'seq' | 'id' | 'run' | 'body'>;

function runsToPack(objects: Objects, before: number): string[] {
  return objects.database
    .prepare(`SELECT DISTINCT run FROM saved s WHERE ${UNPACKED} ORDER BY seq`)
    .all(before)
    .map(({ run }) => String(run));
}

function unpackedBlocks(objects: Objects, run: string, before: number): Generator<Row[]> {
  const block = objects.database.prepare(
    `SELECT seq, id, run, body FROM saved s WHERE seq > ? AND run = ? AND ${UNPACKED} ORDER BY seq LIMIT ${BLOCK}`,
  );
  return pagesOf<Row>(block, 'seq', run, before);
}

/** What is in the trash goes soon. */
const UNPACKED = `kind = 'checkpoint' AND created < ? AND s.seq BETWEEN 1 AND ${MAX_ROW}
  AND NOT EXISTS (SELECT 1 FROM mark WHERE saved = s.seq AND kind IN ('packed', 'trash'))`;

async function* packRow(objects: Objects, coders: Coders, row: Row, base: Row | null): AsyncGenerator<number, void> {
  for (const [chunk, neighbour] of pairsOrNone(objects, row, base))
    yield await packChunk(objects, coders, chunk, neighbour);
  // Not a change of what is saved: the catalog has nothing to follow. The row may have been forgotten meanwhile.
  objects.database
    .prepare("INSERT OR REPLACE INTO mark (saved, kind, value) SELECT seq, 'packed', '' FROM saved WHERE seq = ?")
    .run(row.seq);
}

/** None of a row that cannot be read: it stays as it is, and counts as packed. */
function pairsOrNone(objects: Objects, row: Row, base: Row | null): [chunk: number, neighbour: number | null][] {
  try {
    return pairs(objects, row, base);
  } catch (error) {
    if (isError(error, 'corrupted')) return [];
    throw error;
  }
}

/** Each chunk of a row with the one at its place in the other: of files that have the same name and as many chunks. */
function pairs(objects: Objects, row: Row, base: Row | null): [chunk: number, neighbour: number | null][] {
  const own = filesOf(objects, row);
  const others = base ? filesOf(objects, base) : new Map<string, number[]>();
  return [...own].flatMap(([name, chunks]) => {
    const same = others.get(name);
    const fits = same?.length === chunks.length;
    return chunks.map((chunk, i): [number, number | null] => [chunk, fits && same[i] !== chunk ? same[i]! : null]);
  });
}

function filesOf(objects: Objects, row: Row): Map<string, number[]> {
  const { files } = bodyOf(row);
  const chunks = objects.chunksOf(row.seq);
  let from = 0;
  return new Map(
    files.map((file) => {
      const own = chunks.slice(from, from + file.chunks);
      from += file.chunks;
      return [file.name, own];
    }),
  );
}

/** Only what stands by itself is packed, and never made a delta when others are deltas to it: they would be read with more. */
async function packChunk(objects: Objects, coders: Coders, chunk: number, neighbour: number | null): Promise<number> {
  const layout = objects.layout(chunk);
  if (!layout || layout.base !== null || layout.size < MIN_BYTES) return 0;
  const base = objects.dependantsOf(chunk).length > 0 ? null : baseFor(objects, layout.size, neighbour);
  return (await recode(objects, coders, chunk, base)) ?? 0;
}

/** The neighbour, or what it is a delta to itself, if reading it first is not too much. */
function baseFor(objects: Objects, size: number, neighbour: number | null): number | null {
  if (neighbour === null) return null;
  for (const base of [neighbour, ...(objects.basesOf(neighbour) ?? [])]) {
    if (objects.layout(base)?.size !== size) return null;
    if (readBytes(objects, base) + USUAL_DELTA * size <= MAX_READ * size) return base;
  }
  return null;
}

/** All that is read for a chunk; without end where it is its own base. */
function readBytes(objects: Objects, chunk: number): number {
  const bases = objects.basesOf(chunk);
  if (bases === null) return Number.POSITIVE_INFINITY;
  return [chunk, ...bases].reduce((bytes, one) => bytes + (objects.layout(one)?.stored ?? 0), 0);
}

/** What is read for the longest way from a chunk that goes through this one, down to it. */
function bytesAbove(objects: Objects, chunk: number, depth = 0): number {
  if (depth > MAX_STACK) return Number.POSITIVE_INFINITY;
  return Math.max(
    0,
    ...objects
      .dependantsOf(chunk)
      .map((one) => (objects.layout(one)?.stored ?? 0) + bytesAbove(objects, one, depth + 1)),
  );
}

/**
 * Stores a chunk as a delta to `base`, or by itself where that is as small, too much to read, or `base` is null. Returns by how
 * much it became smaller; null when it or the base is damaged, which leaves everything as it is.
 */
async function recode(objects: Objects, coders: Coders, chunk: number, base: number | null): Promise<number | null> {
  const before = objects.layout(chunk);
  if (!before) return 0;
  const stack = stackOf(objects, chunk);
  const below = base === null ? null : stackOf(objects, base);
  if (stack === null || (base !== null && below === null)) return null;
  let reply = await coders.recode(stack, below);
  if (reply?.delta) {
    const read = readBytes(objects, base!) + reply.data.length + bytesAbove(objects, chunk);
    if (read > MAX_READ * before.size) reply = await coders.recode(stack, null);
  }
  if (reply === null) return null;
  const { codec, data, delta } = reply;
  const smaller = before.stored - data.length;
  if (before.base === null && smaller <= 0) return 0;
  return objects.replaceChunk(chunk, before, { codec, data, base: delta ? base : null }) ? smaller : 0;
}

function stackOf(objects: Objects, chunk: number): EncodedChunk[] | null {
  try {
    return objects.stack(chunk);
  } catch (error) {
    if (isError(error, 'corrupted')) return null;
    throw error;
  }
}
