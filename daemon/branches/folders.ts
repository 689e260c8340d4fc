/** Watches folders for changed names, without a look at every file: one watch a folder, whatever it holds. */
import { type FSWatcher, watch } from 'node:fs';
import { absolute, joinRaw, parentOf, type RawPath } from './paths.ts';

export class FolderWatcher {
  readonly #root: string;
  readonly #changed: (path: RawPath | null) => void;
  readonly #watchers = new Map<RawPath, FSWatcher>();

  /** `changed` gets the path of what was made, changed or removed; null: anything may have. */
  constructor(root: string, changed: (path: RawPath | null) => void) {
    this.#root = root;
    this.#changed = changed;
  }

  /** Watches these folders and those of these files, and no others. True: one is new, and may have changed before. */
  follow(files: Iterable<RawPath>, folders: Iterable<RawPath>): boolean {
    const wanted = new Set<RawPath>(folders);
    for (const path of files) wanted.add(parentOf(path));
    for (const [folder, watcher] of this.#watchers) {
      if (wanted.has(folder)) continue;
      watcher.close();
      this.#watchers.delete(folder);
    }
    const fresh = [...wanted].filter((folder) => !this.#watchers.has(folder));
    for (const folder of fresh) this.#watch(folder);
    return fresh.some((folder) => this.#watchers.has(folder));
  }

  dispose(): void {
    for (const watcher of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
  }

  #watch(folder: RawPath): void {
    try {
      const options = { persistent: false, encoding: 'buffer' } as const;
      const watcher = watch(absolute(this.#root, folder), options, (_, name) =>
        this.#changed(name === null ? null : joinRaw(folder, name)),
      );
      watcher.on('error', () => {
        watcher.close();
        this.#watchers.delete(folder);
      });
      this.#watchers.set(folder, watcher);
    } catch {
      // Not there yet: the folder above it tells when it is.
    }
  }
}
