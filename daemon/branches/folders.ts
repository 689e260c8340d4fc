/** Watches folders for changed names with one watch for each folder, however many files it holds. Names stay raw bytes: not every name is UTF-8. */
import { type FSWatcher, statSync, watch } from 'node:fs';
import { absolute, joinRaw, parentOf, type RawPath } from './paths.ts';

interface Watched {
  watcher: FSWatcher;
  /** Identity of the folder when its watch began. */
  folder: string;
}

export class FolderWatcher {
  readonly #root: string;
  readonly #changed: (path: RawPath | null) => void;
  readonly #watchers = new Map<RawPath, Watched>();

  /** Calls `changed` with the path that was made, changed or removed; null: any path may have changed. */
  constructor(root: string, changed: (path: RawPath | null) => void) {
    this.#root = root;
    this.#changed = changed;
  }

  /**
   * Watches exactly these folders and the parents of these files. Returns true if a folder is new: it may have changed
   * before the watch began.
   */
  follow(files: Iterable<RawPath>, folders: Iterable<RawPath>): boolean {
    const wanted = new Set<RawPath>(folders);
    for (const path of files) wanted.add(parentOf(path));
    for (const [folder, watched] of this.#watchers) {
      // A folder that was removed and made again has the same name, and the watch is still on the removed one.
      if (wanted.has(folder) && watched.folder === this.#identityOf(folder)) continue;
      watched.watcher.close();
      this.#watchers.delete(folder);
    }
    const fresh = [...wanted].filter((folder) => !this.#watchers.has(folder));
    for (const folder of fresh) this.#watch(folder);
    return fresh.some((folder) => this.#watchers.has(folder));
  }

  dispose(): void {
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: RawPath): void {
    try {
      // Before the watch begins: if the folder is replaced in between, the next look finds another identity.
      const identity = this.#identityOf(folder);
      const options = { persistent: false, encoding: 'buffer' } as const;
      const watcher = watch(absolute(this.#root, folder), options, (_, name) =>
        this.#changed(name === null ? null : joinRaw(folder, name)),
      );
      watcher.on('error', () => {
        watcher.close();
        if (this.#watchers.get(folder)?.watcher === watcher) this.#watchers.delete(folder);
      });
      this.#watchers.set(folder, { watcher, folder: identity });
    } catch {
      // Not there yet: the watch on its parent reports it when it appears.
    }
  }

  #identityOf(folder: RawPath): string {
    const stat = statSync(absolute(this.#root, folder), { bigint: true, throwIfNoEntry: false });
    // The number of a removed folder is given to the next one at once.
    return stat ? `${stat.dev}:${stat.ino}:${stat.birthtimeNs}` : '';
  }
}
