/** Deletes: from trash to chunks to pages returned to the file system, also on a full disk. */

import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDiskFull } from '../failures.ts';
import { MAX_ROW } from '../objects/chunks.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Objects } from '../objects/objects.ts';
import { MAX_STACK } from '../objects/stack.ts';
import { pagesOf } from '../pages.ts';
import { rebase } from './packing.ts';

const SWEEP_BATCH = 256;
/**
 * Number of pages for one step on a full disk: its journal must fit into the reserve (48 pages of 64 KiB, moved and
 * journalled).
 */
const VACUUM_PAGES = 48;
/** Number of pages for one step where the disk has room: each step waits for the disk three times. */
const VACUUM_PAGES_WITH_ROOM = 256;
/** Share of free pages below which they are kept for reuse: moving pages costs more than writing into free ones. */
const VACUUM_SHARE = 0.2;
const RESERVE_BYTES = 8 << 20;
/** Smallest useful reserve: the journal of a deletion is larger than less. */
const MIN_RESERVE_BYTES = 1 << 20;
const LEFT_OVER_BYTES = 256 << 10;
/** Free space below which work that can wait is not done: a training needs the space more. */
const MIN_FREE_BYTES = 512 << 20;

const FORGOTTEN = 'NOT EXISTS (SELECT 1 FROM saved_chunk WHERE chunk = c.id)';
const LOOSE = `${FORGOTTEN} AND NOT EXISTS (SELECT 1 FROM chunk d WHERE d.base = c.id)`;

/**
 * Deletes chunks that no saved row refers to; re-encodes chunks that are deltas to one of them first. Returns the
 * number of deleted chunks. `pause` lets other requests run between batches.
 */
export async function sweep(objects: Objects, coders: Coders, pause: () => Promise<void>): Promise<number> {
  const { database } = objects;
  const page = database.prepare(
    `SELECT id FROM chunk c WHERE id > ? AND id <= ${MAX_ROW} AND ${FORGOTTEN} ORDER BY id LIMIT ${SWEEP_BATCH}`,
  );
  let removed = 0;
  const bases: number[] = [];
  for (const candidates of pagesOf<{ id: number }>(page, 'id')) {
    database.transaction(() => {
      for (const { id } of candidates) {
        const count = removeLoose(objects, id);
        removed += count;
        if (count === 0) bases.push(id);
      }
    });
    await pause();
  }
  // Independent trees of deltas in parallel, chunks of the same tree one after another.
  const trees = [...Map.groupBy(bases, (id) => rootOf(objects, id)).values()];
  const freeTrees = async () => {
    for (let tree = trees.pop(); tree; tree = trees.pop()) {
      for (const id of tree) {
        // Not `removed += await …`, which would add to the value from before the wait.
        const count = await freeBase(objects, coders, id);
        removed += count;
      }
    }
  };
  await Promise.all(Array.from({ length: coders.count }, freeTrees));
  return removed;
}

/** Returns the chunk at the end of the chain of bases. */
function rootOf(objects: Objects, id: number): number {
  return objects.basesOf(id)?.at(-1) ?? id;
}

/**
 * Deletes a chunk, and then its base if this was the last delta to it, unless something refers to it. Returns the
 * number of deleted chunks.
 */
function removeLoose(objects: Objects, id: number): number {
  const remove = objects.database.prepare(`DELETE FROM chunk AS c WHERE id = ? AND ${LOOSE}`);
  let removed = 0;
  for (let next: number | null = id; next !== null; removed++) {
    // A save may refer to it since it was found.
    if (objects.isHeld(next)) break;
    const base: number | null = objects.layout(next)?.base ?? null;
    if (remove.run(next).changes === 0) break;
    next = base;
  }
  return removed;
}

/**
 * Deletes a forgotten chunk that others are deltas to. Returns the number of deleted chunks, those among the others
 * included. Chunks that are each other's base stay: they cannot be read, and following them would never end.
 */
async function freeBase(objects: Objects, coders: Coders, id: number, depth = 0): Promise<number> {
  if (objects.basesOf(id) === null || depth > MAX_STACK || !isForgotten(objects, id)) return 0;
  let removed = 0;
  for (const dependant of objects.dependantsOf(id)) removed += await freeBase(objects, coders, dependant, depth + 1);
  // Read now, since its base may have been deleted with the last of its dependants.
  const kept = objects.basesOf(id)?.find((base) => !isForgotten(objects, base)) ?? null;
  if (!(await rebase(objects, coders, id, kept))) return removed;
  return removed + objects.database.transaction(() => removeLoose(objects, id));
}

function isForgotten(objects: Objects, id: number): boolean {
  if (objects.isHeld(id)) return false;
  return objects.database.prepare(`SELECT 1 FROM chunk c WHERE id = ? AND ${FORGOTTEN}`).get(id) !== undefined;
}

/** Returns free pages of the store at `path` to the file system in small steps. Returns the bytes by which the file shrank. */
export async function returnSpace(
  path: string,
  objects: Objects,
  pause: () => Promise<void>,
  always: boolean,
): Promise<number> {
  const { database } = objects;
  const number = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]);
  const before = number('page_count');
  if (!always && number('freelist_count') < before * VACUUM_SHARE) return 0;
  while (number('freelist_count') > 0) {
    const pages = number('page_count');
    const step = hasRoomFor(path, 0) ? VACUUM_PAGES_WITH_ROOM : VACUUM_PAGES;
    database.exec(`PRAGMA incremental_vacuum(${step})`);
    if (number('page_count') === pages) break;
    await pause();
  }
  return (before - number('page_count')) * number('page_size');
}

/**
 * Runs `work`, and again with the reserve released if the disk is full: on a full disk even a DELETE fails, since it
 * needs a journal, and the reserve is space for that.
 */
export async function withReserve<T>(store: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!isDiskFull(error) || !existsSync(reservePath(store))) throw error;
    rmSync(reservePath(store), { force: true });
    try {
      return await work();
    } finally {
      // Only what is left, since the next caller will be just as short of space.
      writeReserve(reservePath(store), freeBytes(store) - LEFT_OVER_BYTES);
    }
  }
}

/** Makes the reserve if there is space for it. */
export function makeReserve(store: string): void {
  const path = reservePath(store);
  if (existsSync(path)) return;
  if (freeBytes(store) >= RESERVE_BYTES * 2) writeReserve(path, RESERVE_BYTES);
}

function writeReserve(path: string, bytes: number): void {
  if (bytes < MIN_RESERVE_BYTES) return;
  try {
    // Not sparse: the blocks must really be allocated.
    writeFileSync(path, Buffer.alloc(Math.min(bytes, RESERVE_BYTES), 1));
  } catch {
    rmSync(path, { force: true });
  }
}

function freeBytes(store: string): number {
  const { bavail, bsize } = statfsSync(store);
  return bavail * bsize;
}

export function hasRoomFor(path: string, bytes: number): boolean {
  const { bavail, bsize } = statfsSync(path);
  return bavail * bsize >= bytes + MIN_FREE_BYTES;
}

function reservePath(store: string): string {
  return join(store, 'reserve');
}
