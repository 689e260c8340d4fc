import { setTimeout as delay } from 'node:timers/promises';
import { type Database, openDatabase } from './sqlite.ts';

const SQLITE_BUSY = 5;

/**
 * Lock that proves liveness, which a pid never does: the kernel frees it when the process ends, however it ends, and no
 * other process can be mistaken for it. The lock is an exclusive SQLite transaction on a separate file. Trap: POSIX
 * locks of a file are dropped when the owning process closes *any* descriptor of that file. Nothing else in a process
 * that holds a lock may open the lock's file, not even to read its size.
 */
export class HeldLock {
  #database: Database | null;

  private constructor(database: Database) {
    this.#database = database;
  }

  /** Acquires the lock; null when another process holds it. */
  static tryAcquire(path: string): HeldLock | null {
    let database: Database | null = null;
    try {
      database = openDatabase(path);
      // EXCLUSIVE mode with a memory journal: the lock file stays empty and no -journal appears next to it.
      database.exec('PRAGMA busy_timeout=0; PRAGMA journal_mode=MEMORY; BEGIN EXCLUSIVE');
      return new HeldLock(database);
    } catch (error) {
      database?.close();
      if (isBusy(error)) return null;
      throw error;
    }
  }

  /** Acquires the lock with retries: a probe may hold it for a moment. Null when it is still held after `timeoutMs`. */
  static async acquire(path: string, timeoutMs: number): Promise<HeldLock | null> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const lock = HeldLock.tryAcquire(path);
      if (lock || Date.now() >= deadline) return lock;
      await delay(5);
    }
  }

  release(): void {
    this.#database?.close();
    this.#database = null;
  }
}

/**
 * Tells whether a live process holds the lock. Never call it for a lock that this process holds: the probe would drop
 * it.
 */
export function isLocked(path: string): boolean {
  const lock = HeldLock.tryAcquire(path);
  lock?.release();
  return lock === null;
}

function isBusy(error: unknown): boolean {
  // better-sqlite3 gives the code as a word, node:sqlite as a number; extended codes begin with it, or have it in their low byte.
  const { code, errcode } = error as { code?: string; errcode?: number };
  return code?.startsWith('SQLITE_BUSY') === true || (errcode !== undefined && (errcode & 0xff) === SQLITE_BUSY);
}
