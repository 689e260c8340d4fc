/**
 * Finds out whether another process trains a run already. Locks do not hold on a shared folder, so this goes by a file that the
 * other touches: its time is compared with the time of a file that was just written there, both by the clock of the file system.
 */
import { rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Allocation } from '../../protocol/allocation.ts';
import { SUPERSEDED_FILE } from '../../protocol/task.ts';
import type { Life } from './lives.ts';

/** Age from which the file of a process that lives would have been touched again, several times. */
const DEAD_MS = 30_000;
const LOOK_MS = 1_000;
/** Variable of a starter that holds a lock which ends with node-run: an earlier life is over then. */
const SOLE_VARIABLE = 'TRAINSTASH_SOLE';

/** Waits for an earlier life that may still be ending. Returns the words for one that does not end; null: there is none. */
export async function holderOf(lives: readonly Life[], own: Allocation | null): Promise<string | null> {
  if (process.env[SOLE_VARIABLE]) return null;
  for (const { directory, launch } of lives.slice(-1)) {
    const { allocation } = launch;
    const isSameJob = own !== null && own.kind === allocation?.kind && own.job === allocation.job;
    // A scheduler starts a job again on a node only once its processes there are gone.
    if (isSameJob && own.node === allocation?.node) return null;
    const isOver = () => directory.exit() !== null || ageOf(directory.file('alive'), directory.path) > DEAD_MS;
    if (isOver()) return null;
    // It lost sight of the other node, and nothing else: the training there lives, and may still save what it has reached.
    if (isSameJob) writeFileSync(join(directory.path, SUPERSEDED_FILE), '');
    for (const until = Date.now() + (isSameJob ? 2 : 1) * DEAD_MS; Date.now() < until; await delay(LOOK_MS))
      if (isOver()) return null;
    return allocation ? `${allocation.node} (job ${allocation.job})` : 'another process';
  }
  return null;
}

/** Returns the age of a file in milliseconds, by the clock of its file system; infinite where there is none. */
function ageOf(path: string, folder: string): number {
  const touched = statSync(path, { throwIfNoEntry: false });
  if (!touched) return Number.POSITIVE_INFINITY;
  const now = join(folder, `.now.tmp-${process.pid}`);
  try {
    writeFileSync(now, '');
    return statSync(now).mtimeMs - touched.mtimeMs;
  } finally {
    rmSync(now, { force: true });
  }
}
