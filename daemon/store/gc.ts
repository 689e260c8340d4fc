/** Deleting: from trash to chunks to pages given back, also on a full disk. */
import { existsSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Objects } from './objects.ts';

export const TRASH_DAYS = 7;
const SWEEP_BATCH = 256;
/** A step's journal must fit into the reserve on a full disk: 48 pages of 64 KiB, moved and journalled. */
const VACUUM_PAGES = 48;
/** Below this share of free pages they are kept for reuse: moving pages costs more than writing into free ones. */
const VACUUM_SHARE = 0.2;
const RESERVE_BYTES = 8 << 20;

/** Deletes chunks that nothing refers to. Returns how many. `pause` lets others in between batches. */
export async function sweep(objects: Objects, pause: () => Promise<void>): Promise<number> {
  const { database } = objects;
  const unreferenced =
    'NOT EXISTS (SELECT 1 FROM saved_chunk WHERE chunk = c.id) AND NOT EXISTS (SELECT 1 FROM chunk d WHERE d.base = c.id)';
  const page = database.prepare(
    `SELECT id FROM chunk c WHERE id > ? AND ${unreferenced} ORDER BY id LIMIT ${SWEEP_BATCH}`,
  );
  const remove = database.prepare(`DELETE FROM chunk AS c WHERE id = ? AND ${unreferenced}`);
  let removed = 0;
  let after = 0;
  for (;;) {
    const candidates = page.all(after).map((row) => Number(row.id));
    if (candidates.length === 0) return removed;
    after = candidates[candidates.length - 1]!;
    // Asked again inside the transaction: a save may have come to refer to a candidate since.
    removed += database.transaction(() =>
      candidates.reduce((sum, id) => sum + (objects.isHeld(id) ? 0 : remove.run(id).changes), 0),
    );
    await pause();
  }
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
    const result = await work();
    makeReserve(store);
    return result;
  }
}

/** Best effort: without room for it there will be none. */
export function makeReserve(store: string): void {
  const path = reservePath(store);
  if (existsSync(path)) return;
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    if (bavail * bsize < RESERVE_BYTES * 2) return;
    // Not sparse: the blocks must really be taken.
    writeFileSync(path, Buffer.alloc(RESERVE_BYTES, 1));
  } catch {
    rmSync(path, { force: true });
  }
}

export function isDiskFull(error: unknown): boolean {
  const { code, errcode } = error as { code?: string; errcode?: number };
  return code === 'ENOSPC' || code === 'EDQUOT' || code === 'SQLITE_FULL' || errcode === 13;
}

function reservePath(store: string): string {
  return join(store, 'reserve');
}
