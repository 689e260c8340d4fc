/**
 * Watches folders for changes. An event is a hint: a second one may be folded into the first, and network and pass-through file
 * systems send none. So there is always a look at an interval as well. docs/libraries.md says why this is not chokidar.
 */
import { type FSWatcher, watch } from 'node:fs';

export interface Watch {
  close(): void;
}

export interface WatchOptions {
  /** Called with the name of what was made, changed or removed in a folder; null: any name. */
  hint: (name: string | null) => void;
  /** Called at an interval, whatever the events say. */
  look: () => void;
  /** Milliseconds between looks. */
  everyMs: number;
  /** Keeps the process alive while it watches. */
  keepsAlive?: boolean;
}

/** Watches the names in these folders. A folder that is not there, or for which no watch is left, has the looks only. */
export function watchFolders(folders: readonly string[], options: WatchOptions): Watch {
  const watchers = folders.flatMap((folder): FSWatcher[] => {
    try {
      const watcher = watch(folder, { persistent: false }, (_, name) => options.hint(name));
      // The folder was deleted.
      watcher.on('error', () => watcher.close());
      return [watcher];
    } catch {
      return [];
    }
  });
  const timer = setInterval(options.look, options.everyMs);
  if (!options.keepsAlive) timer.unref();
  return {
    close() {
      clearInterval(timer);
      for (const watcher of watchers) watcher.close();
    },
  };
}

export interface NextChange {
  /** Resolves with the first change, after `withinMs`, or when `signal` aborts. */
  promise: Promise<void>;
  close(): void;
}

/** Waits for a change of one of these names (absent: of any). Make it before reading what is there: changes after that count. */
export function nextChange(
  folders: readonly string[],
  { withinMs, signal, isOf = () => true }: { withinMs: number; signal?: AbortSignal; isOf?: (name: string) => boolean },
): NextChange {
  const { promise, resolve } = Promise.withResolvers<void>();
  const done = () => resolve();
  const watch = watchFolders(folders, {
    hint: (name) => {
      if (name === null || isOf(name)) done();
    },
    look: done,
    everyMs: withinMs,
    keepsAlive: true,
  });
  signal?.addEventListener('abort', done);
  if (signal?.aborted) done();
  return {
    promise,
    close() {
      signal?.removeEventListener('abort', done);
      watch.close();
    },
  };
}
