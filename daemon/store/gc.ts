/** Deleting: from trash to chunks to pages given back, also on a full disk. */

import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MAX_ROW } from './chunks.ts';
import type { Coders } from './coders.ts';
import { isDiskFull } from './failures.ts';
import type { Objects } from './objects.ts';
import { rebase } from './packing.ts';
import { pagesOf } from './pages.ts';
import { MAX_STACK } from './stack.ts';

const SWEEP_BATCH = 256;
/** A step's journal must fit into the reserve on a full disk: 48 pages of 64 KiB, moved and journalled. */
const VACUUM_PAGES = 48;
/** Below this share of free pages they are kept for reuse: moving pages costs more than writing into free ones. */
const VACUUM_SHARE = 0.2;
const RESERVE_BYTES = 8 << 20;
/** Less is no use: the journal of a deletion is larger. */
const MIN_RESERVE_BYTES = 1 << 20;
const LEFT_OVER_BYTES = 256 << 10;
/** What can wait is not done below this much space: a training needs it more. */
const MIN_FREE_BYTES = 512 << 20;

const FORGOTTEN = 'NOT EXISTS (SELECT 1 FROM saved_chunk WHERE chunk = c.id)';
const LOOSE = `${FORGOTTEN} AND NOT EXISTS (SELECT 1 FROM chunk d WHERE d.base = c.id)`;

/**
 * Deletes chunks that no saved row refers to; what is a delta to one of them is stored in another way first. Returns how
 * many. `pause` lets others in between batches.
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
  // Side by side what has nothing to do with each other: of a tree of deltas one after the other.
  const trees = [...Map.groupBy(bases, (id) => rootOf(objects, id)).values()];
  const freeTrees = async () => {
    for (let tree = trees.pop(); tree; tree = trees.pop()) {
      for (const id of tree) {
        // Not `removed += await …`, which would add to what it was before the wait.
        const count = await freeBase(objects, coders, id);
        removed += count;
      }
    }
  };
  await Promise.all(Array.from({ length: coders.count }, freeTrees));
  return removed;
}

/** What all its deltas come down to. */
function rootOf(objects: Objects, id: number): number {
  return objects.basesOf(id)?.at(-1) ?? id;
}

/** Deletes a chunk, and what it was the last delta to, unless something refers to it. Returns how many went. */
function removeLoose(objects: Objects, id: number): number {
  const remove = objects.database.prepare(`DELETE FROM chunk AS c WHERE id = ? AND ${LOOSE}`);
  let removed = 0;
  for (let next: number | null = id; next !== null; removed++) {
    // A save may have come to refer to it since it was found.
    if (objects.isHeld(next)) break;
    const base: number | null = objects.layout(next)?.base ?? null;
    if (remove.run(next).changes === 0) break;
    next = base;
  }
  return removed;
}

/**
 * Deletes a forgotten chunk that others are deltas to. Returns how many went, those among the others included. Chunks that
 * are each other's base stay: nothing can be read out of them, and nothing comes of following them.
 */
async function freeBase(objects: Objects, coders: Coders, id: number, depth = 0): Promise<number> {
  if (objects.basesOf(id) === null || depth > MAX_STACK || !isForgotten(objects, id)) return 0;
  let removed = 0;
  for (const dependant of objects.dependantsOf(id)) removed += await freeBase(objects, coders, dependant, depth + 1);
  // Now, since what it was a delta to may have gone with the last of its dependants.
  const kept = objects.basesOf(id)?.find((base) => !isForgotten(objects, base)) ?? null;
  if (!(await rebase(objects, coders, id, kept))) return removed;
  return removed + objects.database.transaction(() => removeLoose(objects, id));
}

function isForgotten(objects: Objects, id: number): boolean {
  if (objects.isHeld(id)) return false;
  return objects.database.prepare(`SELECT 1 FROM chunk c WHERE id = ? AND ${FORGOTTEN}`).get(id) !== undefined;
}

/** Gives free pages back to the file system in small steps. Returns the bytes by which the file shrank. */
export async function returnSpace(objects: Objects, pause: () => Promise<void>, always: boolean): Promise<number> {
  const { database } = objects;
  const number = (name: string) => Number(Object.values(database.prepare(`PRAGMA ${name}`).get()!)[0]);
  const before = number('page_count');
  if (!always && number('freelist_count') < before * VACUUM_SHARE) return 0;
  while (number('freelist_count') > 0) {
    const pages = number('page_count');
    database.exec(`PRAGMA incremental_vacuum(${VACUUM_PAGES})`);
    if (number('page_count') === pages) break;
    await pause();
  }
  return (before - number('page_count')) * number('page_size');
}

/**
 * On a full disk even a DELETE fails, since it needs a journal. Some space is set aside for it: `work` is tried, and
 * when the disk is full tried again with the reserve released.
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
      // What is left of it, since the next who needs it is as short of space.
      writeReserve(reservePath(store), freeBytes(store) - LEFT_OVER_BYTES);
    }
  }
}

/** Best effort: without room for it there will be none. */
export function makeReserve(store: string): void {
  const path = reservePath(store);
  if (existsSync(path)) return;
  if (freeBytes(store) >= RESERVE_BYTES * 2) writeReserve(path, RESERVE_BYTES);
}

function writeReserve(path: string, bytes: number): void {
  if (bytes < MIN_RESERVE_BYTES) return;
  try {
    // Not sparse: the blocks must really be taken.
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
