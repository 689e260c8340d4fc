/**
 * Removes what a killed writer left in a session's folder. Only the holder of a session's lock writes there, so this
 * takes the lock.
 */
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HeldLock } from '../base/lock.ts';
import { SET_ASIDE, type SessionDirectory } from './directory.ts';

/** Time between a session's first file and its lock, while it is being started. */
const START_GRACE_MS = 60_000;
/**
 * Lifetime of a checkpoint that was set aside: it may be all that exists of a training, so it stays as long as the
 * trash.
 */
const SET_ASIDE_MS = 7 * 86_400_000;

/** Names of incomplete checkpoints in an inbox. */
const UNFINISHED = /^\.tmp-/;
/**
 * Names of temporary files, of restored checkpoints without a final name, and of files that only a live session needs.
 */
const TEMPORARY = /\.tmp-\d+$|^\.(tmp|trainstash-tmp)-|^(restore|export)$/;

/** Sweeps a session, unless it is live or being started. Logs a failure, and never throws. */
export function sweepSession(directory: SessionDirectory, log: (text: string) => void, now = Date.now()): void {
  try {
    if (leftoversIn(directory, now).length === 0 || isStarting(directory, now)) return;
    const lockFile = directory.file('lock');
    // Without a lock file there is nobody to wait for.
    const lock = existsSync(lockFile) ? HeldLock.tryAcquire(lockFile) : 'none';
    if (!lock) return;
    try {
      for (const path of leftoversIn(directory, now)) rmSync(path, { recursive: true, force: true });
    } finally {
      if (lock !== 'none') lock.release();
    }
  } catch (error) {
    log(`${directory.path} was not swept: ${(error as Error).message}`);
  }
}

/** Tells whether a checkpoint was claimed but could not be stored. */
export function isSetAside(name: string): boolean {
  return name.startsWith(SET_ASIDE);
}

function isStarting(directory: SessionDirectory, now: number): boolean {
  if (directory.process() !== null || directory.exit() !== null) return false;
  return now - (directory.launch()?.createdAt ?? lstatSync(directory.path).ctimeMs) < START_GRACE_MS;
}

function leftoversIn(directory: SessionDirectory, now: number): string[] {
  // Its run was being forgotten, or it never began: without its launch file the folder is useless.
  if (!existsSync(directory.file('launch')) && directory.inbox().length + directory.claimed().length === 0)
    return [directory.path];
  return [
    ...matching(directory.path, (name) => TEMPORARY.test(name)),
    ...matching(directory.file('inbox'), (name) => UNFINISHED.test(name)),
    ...matching(directory.file('taking'), (name, path) => {
      return isSetAside(name) && now - lstatSync(path).ctimeMs > SET_ASIDE_MS;
    }),
  ];
}

function matching(folder: string, fits: (name: string, path: string) => boolean): string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((name) => (fits(name, join(folder, name)) ? [join(folder, name)] : []));
}
