/** What a killed writer left in a session's folder. Only whoever holds the lock of a session writes there, so it is taken meanwhile. */
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { HeldLock } from '../store/lock.ts';
import { SET_ASIDE, type SessionDirectory } from './directory.ts';

/** Between its first file and its lock a session is being started. */
const STARTING_MS = 60_000;
/** A checkpoint that was set aside may be all that there is of a training: it stays as long as what is in the trash. */
const SET_ASIDE_MS = 7 * 86_400_000;

/** In an inbox, until it is whole. */
const UNFINISHED = /^\.tmp-/;
/** What is written beside its name, restored checkpoints that have none yet, and what only a live session needs. */
const PASSING = /\.tmp-\d+$|^\.(tmp|trainstash-tmp)-|^(restore|export)$/;

/** Leaves a session alone that lives, or that is only being started. A failure is told, and keeps nobody from anything. */
export function sweepSession(directory: SessionDirectory, log: (text: string) => void, now = Date.now()): void {
  try {
    if (leftIn(directory, now).length === 0 || isStarting(directory, now)) return;
    const lockFile = directory.file('lock');
    // Where there never was a lock there is nobody to wait for.
    const lock = existsSync(lockFile) ? HeldLock.tryAcquire(lockFile) : 'none';
    if (!lock) return;
    try {
      for (const path of leftIn(directory, now)) rmSync(path, { recursive: true, force: true });
    } finally {
      if (lock !== 'none') lock.release();
    }
  } catch (error) {
    log(`${directory.path} was not swept: ${(error as Error).message}`);
  }
}

/** Whether it was claimed and cannot be stored. */
export function isSetAside(name: string): boolean {
  return name.startsWith(SET_ASIDE);
}

function isStarting(directory: SessionDirectory, now: number): boolean {
  if (directory.process() !== null || directory.exit() !== null) return false;
  return now - (directory.launch()?.createdAt ?? lstatSync(directory.path).ctimeMs) < STARTING_MS;
}

function leftIn(directory: SessionDirectory, now: number): string[] {
  // Its run was being forgotten, or it was never begun: without its launch nothing can be made of what is there.
  if (!existsSync(directory.file('launch')) && directory.inbox().length + directory.taking().length === 0)
    return [directory.path];
  return [
    ...matching(directory.path, (name) => PASSING.test(name)),
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
