/** Notices changes of a session directory, and whether its runner is alive. */
import { hostname } from 'node:os';
import { isLocked } from '../base/lock.ts';
import { watchFolders } from '../base/watch.ts';
import { isError } from '../protocol/errors.ts';
import { bootId, type SessionDirectory } from './directory.ts';

/** Interval of looks where file events do not arrive (network and pass-through file systems). */
const POLL_MS = 1_000;
/** Shortest interval between looks, however fast a trainer writes. */
const THROTTLE_MS = 200;

export interface SessionWatch {
  /** Looks now, or as soon as the present look is over. Resolves after it. */
  look(): Promise<void>;
  dispose(): void;
}

/** Calls `look` one at a time: at start, after changes, and every second. */
export function watchSession(directory: SessionDirectory, look: () => Promise<void>): SessionWatch {
  let running: Promise<void> | null = null;
  let queued: Promise<void> | null = null;
  let throttle: NodeJS.Timeout | null = null;
  let disposed = false;
  const run = (): Promise<void> => {
    running = look().finally(() => {
      running = null;
    });
    return running;
  };
  const request = (): Promise<void> => {
    if (disposed) return Promise.resolve();
    if (!running) return run();
    queued ??= running
      .catch(() => {})
      .then(() => {
        queued = null;
        return disposed ? undefined : run();
      });
    return queued;
  };
  const soon = () => {
    throttle ??= setTimeout(() => {
      throttle = null;
      void request().catch(() => {});
    }, THROTTLE_MS);
  };
  const watch = watchFolders([directory.path, directory.file('inbox')], {
    hint: soon,
    look: () => void request().catch(() => {}),
    everyMs: POLL_MS,
    keepsAlive: true,
  });
  return {
    look: request,
    dispose() {
      disposed = true;
      watch.close();
      if (throttle) clearTimeout(throttle);
    },
  };
}

/** Tells whether the session's runner is alive, by its lock, never by its pid. */
export function isAlive(directory: SessionDirectory): boolean {
  // Somebody has removed it, and the lock with it.
  if (directory.isGone) return false;
  try {
    return isLocked(directory.file('lock'));
  } catch (error) {
    // The holder of our own lock would have made the file.
    if (isError(error, 'storeForeign')) return false;
    if (['ENOENT', 'SQLITE_CANTOPEN', 'ERR_SQLITE_ERROR'].includes((error as NodeJS.ErrnoException).code ?? ''))
      return false;
    throw error;
  }
}

/** Tells whether the machine was rebooted since the session began. */
export function isFromEarlierBoot(directory: SessionDirectory): boolean {
  const record = directory.process();
  return record !== null && record.host === hostname() && record.bootId !== bootId();
}

/** Waits for the end of a session. `childExit` settles when the process that was started here exits. */
export async function untilEnded(directory: SessionDirectory, childExit: Promise<unknown>): Promise<void> {
  let exited = false;
  await new Promise<void>((resolve) => {
    const watch = watchSession(directory, async () => {
      if (!exited || isAlive(directory)) return;
      watch.dispose();
      resolve();
    });
    void childExit.then(() => {
      exited = true;
      void watch.look();
    });
  });
}
