/** Decides where a store may be and how large it may grow, and lets one daemon own it. */
import { readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { HeldLock } from '../../base/lock.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { isDiskFull } from './failures.ts';

const QUOTA_BYTES = 50e9;
const QUOTA_SHARE = 0.2;

/** Returns the smaller of 50 GB and 20 % of the free space. */
export function defaultQuotaBytes(path: string): number {
  const { bavail, bsize } = statfsSync(path);
  return Math.round(Math.min(QUOTA_BYTES, bavail * bsize * QUOTA_SHARE));
}

/** Takes ownership. Throws `storeOwned` when another live process owns the store. */
export function takeOwnership(store: string): { release(): void } {
  const lock = HeldLock.tryAcquire(join(store, 'owner.lock'));
  const record = join(store, 'owner.json');
  if (!lock) {
    const owner = readOwner(record);
    throw new TrainstashError(
      'storeOwned',
      `${store} is in use by another Trainstash daemon (process ${owner.pid} on ${owner.host}). Nothing was changed. Stop that one with \`trainstash daemon stop\` there, then try again.`,
      owner,
    );
  }
  try {
    writeFileSync(record, JSON.stringify({ host: hostname(), pid: process.pid, since: Date.now() }));
  } catch (error) {
    // The lock owns the store; the record only tells others whose it is. A store on a full disk must open, so that room can be made.
    if (!isDiskFull(error)) {
      lock.release();
      throw error;
    }
  }
  return {
    release() {
      rmSync(record, { force: true });
      lock.release();
    },
  };
}

function readOwner(record: string): { host: string; pid: number; since: number } {
  try {
    return JSON.parse(readFileSync(record, 'utf8'));
  } catch {
    return { host: 'an unknown host', pid: 0, since: 0 };
  }
}
