/** Reports moves of HEAD in one worktree. File events are hints; a look every two seconds finds what they miss. */
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Watch, watchFolders } from '../../base/watch.ts';
import { isError } from '../../protocol/errors.ts';
import { commonOf } from '../code/locate.ts';
import { type Head, readHead } from '../code/project.ts';
import { headInFiles } from '../code/reference-files.ts';
import type { GitDirectories } from '../code/reflog.ts';

const POLL_MS = 2_000;
/** Files whose change is a move: HEAD, and with reftable the list of tables. */
const NAMES = ['HEAD', 'tables.list'];

export class HeadWatcher {
  readonly #root: string;
  readonly #gitDirectory: string;
  readonly #directories: GitDirectories;
  readonly #changed: (head: Head) => void;
  readonly #watch: Watch;
  #head: Head;
  #fingerprint = '';
  #looking: Promise<Head> | null = null;
  #lookAgain = false;
  #disposed = false;

  private constructor(root: string, gitDirectory: string, head: Head, changed: (head: Head) => void) {
    this.#root = root;
    this.#gitDirectory = gitDirectory;
    this.#directories = { gitDirectory, common: commonOf(gitDirectory) };
    this.#head = head;
    this.#changed = changed;
    this.#watch = watchFolders([gitDirectory, join(gitDirectory, 'reftable')], {
      hint: (name) => {
        if (name === null || NAMES.includes(name)) void this.#lookUnasked();
      },
      look: () => void this.#lookIfMoved(),
      everyMs: POLL_MS,
    });
  }

  /** Starts watching. `gitDirectory` is the worktree's own, not the common one. Throws `gitUnusable`. */
  static async start(root: string, gitDirectory: string, changed: (head: Head) => void): Promise<HeadWatcher> {
    const watcher = new HeadWatcher(root, gitDirectory, await readHead(root), changed);
    watcher.#fingerprint = watcher.#takeFingerprint();
    return watcher;
  }

  /**
   * Identifies the file HEAD; a later write gives another value. Returns an empty string when there is no such file.
   */
  file(): string {
    const stat = statSync(join(this.#gitDirectory, 'HEAD'), { bigint: true, throwIfNoEntry: false });
    return stat ? `${stat.ino}:${stat.mtimeNs}` : '';
  }

  /**
   * Returns the time of HEAD's last move; with reftable, of the last move of any reference. Infinity when that is
   * unknown.
   */
  movedAt(): number {
    const names = [join('reftable', 'tables.list'), 'HEAD'];
    // Computed from nanoseconds, as file times are: Node rounds its milliseconds differently, so one of two equal times
    // would seem earlier.
    const times = names.map((name) => {
      const stat = statSync(join(this.#gitDirectory, name), { bigint: true, throwIfNoEntry: false });
      return stat ? Number(stat.mtimeNs) / 1e6 : 0;
    });
    return Math.max(...times) || Number.POSITIVE_INFINITY;
  }

  /** HEAD as last seen. */
  get head(): Head {
    return this.#head;
  }

  /** Tells whether `head` is still current. Costs a read and a stat. */
  isCurrent(): boolean {
    return this.#takeFingerprint() === this.#fingerprint;
  }

  /** Reads HEAD now. */
  look(): Promise<Head> {
    if (this.#looking) {
      // The look under way may have read HEAD before the move that this call is about.
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
    this.#watch.close();
  }

  async #read(): Promise<Head> {
    for (;;) {
      this.#lookAgain = false;
      const fingerprint = this.#takeFingerprint();
      const head = headInFiles(this.#root, this.#directories) ?? (await readHead(this.#root));
      if (this.#disposed) return this.#head;
      this.#fingerprint = fingerprint;
      const moved = head.branch !== this.#head.branch || head.commit !== this.#head.commit;
      this.#head = head;
      if (moved) this.#changed(head);
      if (!this.#lookAgain) return head;
    }
  }

  async #lookIfMoved(): Promise<void> {
    if (!this.#disposed && this.#takeFingerprint() !== this.#fingerprint) await this.#lookUnasked();
  }

  /** Looks without anybody waiting for the answer. Where git fails, the head stays as it was: whoever asks next is told why. */
  async #lookUnasked(): Promise<void> {
    await this.look().catch((error) => {
      if (!isError(error, 'gitUnusable') && !isError(error, 'notFound')) throw error;
    });
  }

  /**
   * Reads a text that changes whenever HEAD moves. Costs a read and a stat, no process. With reftable HEAD itself never
   * changes, but the list of tables does.
   */
  #takeFingerprint(): string {
    // Synchronous: these are 40 bytes from the page cache, and a promise for each of four system calls would cost ten
    // times more.
    const tables = statSync(join(this.#gitDirectory, 'reftable', 'tables.list'), { throwIfNoEntry: false });
    return `${readOrEmpty(join(this.#gitDirectory, 'HEAD'))}\0${tables?.ino}:${tables?.mtimeMs}:${tables?.size}`;
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
