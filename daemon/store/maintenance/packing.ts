/**
 * Makes a store smaller when nobody waits for it. Of every few successive checkpoints of a run one stays complete, and
 * the others become deltas to their neighbours:
 *
 *     6 → 4 → 3 → ● ← 1 ← 2            (● the middle, → is a delta to)
 *         5 → 4       3, 4, 5, 6 as on the left
 *
 * This changes only the stored form of chunks, never what is saved. A chunk is replaced only after its new form was
 * decoded and compared.
 */

import { isError } from '../../../protocol/errors.ts';
import { bodyOf } from '../catalog/rows.ts';
import { MAX_ROW } from '../objects/chunks.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Objects, SavedRow } from '../objects/objects.ts';
import { type EncodedChunk, MAX_STACK } from '../objects/stack.ts';
import { pagesOf } from '../pages.ts';

/** Number of checkpoints that are packed together, and so lie between two that stay complete. */
export const BLOCK = 13;
/** Limit for reading a chunk with all its bases: this many times its size in total. */
const MAX_READ = 3;
/** Usual share of a delta: a base that would exceed the limit with it is not tried. */
const USUAL_DELTA = 0.6;
/** Size below which chunks share a page: packing them saves nothing. */
const MIN_BYTES = 32 << 10;

/**
 * Packs everything that can be packed; yields the bytes saved after each chunk. It may be abandoned at any time. Leaves
 * checkpoints made after `before` alone: those are resumed from, and stay fast. Of a live run it packs only full
 * blocks, since more checkpoints will come.
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

/** Returns the rows of a block in packing order, a base before its deltas. */
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

/**
 * Returns a base's distance, as in the picture above. With only three on a side they form one chain: three deltas are
 * not too many.
 */
function baseDistance(distance: number, onASide: number): number {
  if (distance === 3 && onASide > 3) return 0;
  return distance === 6 ? 4 : distance - 1;
}

/**
 * Prepares a chunk for deletion: its deltas become deltas to `base`, or, without one, to the first of them. Returns
 * false when one is damaged: then the chunk stays.
 */
export async function rebase(objects: Objects, coders: Coders, chunk: number, base: number | null): Promise<boolean> {
  let next = base;
  for (const dependant of objects.dependantsOf(chunk)) {
    if ((await recode(objects, coders, dependant, next)) === null) return false;
    next ??= dependant;
  }
  return true;
}

/** Sums the bytes of checkpoints that have not been packed, of any age. */
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

/** Checkpoints in the trash are deleted soon. */
const UNPACKED = `kind = 'checkpoint' AND created < ? AND s.seq BETWEEN 1 AND ${MAX_ROW}
  AND NOT EXISTS (SELECT 1 FROM mark WHERE saved = s.seq AND kind IN ('packed', 'trash'))`;

async function* packRow(objects: Objects, coders: Coders, row: Row, base: Row | null): AsyncGenerator<number, void> {
  for (const [chunk, neighbour] of pairsOrNone(objects, row, base))
    yield await packChunk(objects, coders, chunk, neighbour);
  // The mark does not change what is saved, so the catalog has nothing to follow. The row may have been forgotten
  // meanwhile.
  objects.database
    .prepare("INSERT OR REPLACE INTO mark (saved, kind, value) SELECT seq, 'packed', '' FROM saved WHERE seq = ?")
    .run(row.seq);
}

/** Pairs the chunks; empty for a row that cannot be read: it stays as it is, and counts as packed. */
function pairsOrNone(objects: Objects, row: Row, base: Row | null): [chunk: number, neighbour: number | null][] {
  try {
    return pairs(objects, row, base);
  } catch (error) {
    if (isError(error, 'corrupted')) return [];
    throw error;
  }
}

/**
 * Pairs each chunk of a row with the one at the same position in the other, for files with the same name and number of
 * chunks.
 */
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

/**
 * Packs a chunk that is stored by itself. A chunk that others are deltas to never becomes a delta: reading them would
 * take more.
 */
async function packChunk(objects: Objects, coders: Coders, chunk: number, neighbour: number | null): Promise<number> {
  const layout = objects.layout(chunk);
  if (!layout || layout.base !== null || layout.size < MIN_BYTES) return 0;
  const base = objects.dependantsOf(chunk).length > 0 ? null : baseFor(objects, layout.size, neighbour);
  return (await recode(objects, coders, chunk, base)) ?? 0;
}

/** Returns the neighbour, or one of its own bases, if reading it first is not too much. */
function baseFor(objects: Objects, size: number, neighbour: number | null): number | null {
  if (neighbour === null) return null;
  for (const base of [neighbour, ...(objects.basesOf(neighbour) ?? [])]) {
    if (objects.layout(base)?.size !== size) return null;
    if (readBytes(objects, base) + USUAL_DELTA * size <= MAX_READ * size) return base;
  }
  return null;
}

/** Sums the bytes that are read for a chunk; infinite where it is its own base. */
function readBytes(objects: Objects, chunk: number): number {
  const bases = objects.basesOf(chunk);
  if (bases === null) return Number.POSITIVE_INFINITY;
  return [chunk, ...bases].reduce((bytes, one) => bytes + (objects.layout(one)?.stored ?? 0), 0);
}

/** Computes the bytes that are read on the longest chain of deltas down to this chunk. */
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
 * Stores a chunk as a delta to `base`, or by itself where that is as small, too much to read, or `base` is null.
 * Returns the bytes saved; null when it or the base is damaged, which leaves everything as it is.
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
