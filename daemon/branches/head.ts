/** Tells when HEAD of one worktree moves: a hint by event, the truth by a look every two seconds. */
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { type Head, readHead } from '../code/project.ts';

const POLL_MS = 2_000;

export class HeadWatcher {
  readonly #root: string;
  readonly #gitDirectory: string;
  readonly #changed: (head: Head) => void;
  readonly #watchers: FSWatcher[] = [];
  readonly #poll: NodeJS.Timeout;
  #head: Head;
  #fingerprint = '';
  #looking: Promise<Head> | null = null;
  #lookAgain = false;
  #disposed = false;

  private constructor(root: string, gitDirectory: string, head: Head, changed: (head: Head) => void) {
    this.#root = root;
    this.#gitDirectory = gitDirectory;
    this.#head = head;
    this.#changed = changed;
    this.#watch(gitDirectory, /^HEAD$/);
    this.#watch(join(gitDirectory, 'reftable'), /^tables\.list$/);
    this.#poll = setInterval(() => void this.#lookIfMoved(), POLL_MS);
    this.#poll.unref();
  }

  /** `gitDirectory`: the worktree's own. Throws `gitUnusable`. */
  static async start(root: string, gitDirectory: string, changed: (head: Head) => void): Promise<HeadWatcher> {
    const watcher = new HeadWatcher(root, gitDirectory, await readHead(root), changed);
    watcher.#fingerprint = watcher.#takeFingerprint();
    return watcher;
  }

  /** What tells the file HEAD from one that was written later; empty when it is not there. */
  file(): string {
    const stat = statSync(join(this.#gitDirectory, 'HEAD'), { bigint: true, throwIfNoEntry: false });
    return stat ? `${stat.ino}:${stat.mtimeNs}` : '';
  }

  /** When HEAD moved last; with reftable, when any ref did. Infinity when it cannot be told. */
  movedAt(): number {
    const names = [join('reftable', 'tables.list'), 'HEAD'];
    // From nanoseconds, as the times of files are: Node's own milliseconds are rounded in another way, and of two equal
    // times one would be the earlier.
    const times = names.map((name) => {
      const stat = statSync(join(this.#gitDirectory, name), { bigint: true, throwIfNoEntry: false });
      return stat ? Number(stat.mtimeNs) / 1e6 : 0;
    });
    return Math.max(...times) || Number.POSITIVE_INFINITY;
  }

  /** As last seen. */
  get head(): Head {
    return this.#head;
  }

  /** Whether `head` is still so, at the cost of a read and a stat. */
  isCurrent(): boolean {
    return this.#takeFingerprint() === this.#fingerprint;
  }

  /** Reads HEAD now. */
  look(): Promise<Head> {
    if (this.#looking) {
      // What is under way may have read before the move that is asked about.
      this.#lookAgain = true;
      return this.#looking;
    }
    this.#looking = this.#read().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  dispose(): void {
    this.#disposed = true;
    clearInterval(this.#poll);
    for (const watcher of this.#watchers) watcher.close();
  }

  async #read(): Promise<Head> {
    for (;;) {
      this.#lookAgain = false;
      const fingerprint = this.#takeFingerprint();
      const head = await readHead(this.#root);
      if (this.#disposed) return this.#head;
      this.#fingerprint = fingerprint;
      const moved = head.branch !== this.#head.branch || head.commit !== this.#head.commit;
      this.#head = head;
      if (moved) this.#changed(head);
      if (!this.#lookAgain) return head;
    }
  }

  async #lookIfMoved(): Promise<void> {
    if (!this.#disposed && this.#takeFingerprint() !== this.#fingerprint) await this.look();
  }

  /** Costs a read and a stat, no process. With reftable HEAD never changes, but the list of tables does. */
  #takeFingerprint(): string {
    // Synchronous: 40 bytes that are in the cache, where a promise for each of four system calls costs ten times more.
    const tables = statSync(join(this.#gitDirectory, 'reftable', 'tables.list'), { throwIfNoEntry: false });
    return `${readOrEmpty(join(this.#gitDirectory, 'HEAD'))}\0${tables?.ino}:${tables?.mtimeMs}:${tables?.size}`;
  }

  #watch(directory: string, name: RegExp): void {
    try {
      const watcher = watch(directory, { persistent: false }, (_, file) => {
        if (file === null || name.test(file)) void this.look();
      });
      // A deleted directory: the poll tells the rest.
      watcher.on('error', () => watcher.close());
      this.#watchers.push(watcher);
    } catch {
      // Not there, or no events on this file system: the poll is enough.
    }
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
