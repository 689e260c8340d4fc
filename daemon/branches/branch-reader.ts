/** Reads all local branches with their reflogs, consistent at one moment. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { explain, gitUnusable } from '../code/failure.ts';
import { GitError, git } from '../code/git.ts';
import { type GitDirectories, reflogOf, reflogPath } from '../code/reflog.ts';
import type { FileIds, Ref } from './match-branches.ts';
import { lifeOf } from './same-branch.ts';

/**
 * Delay between reads while git renames a branch. A git that was stopped in the middle of a rename may never finish it:
 * after `MAX_READS` the state that is there counts.
 */
const RENAMING_MS = 20;
const MAX_READS = 50;

export class BranchReader {
  readonly #root: string;
  readonly #directories: GitDirectories;
  readonly #readBefore = new Map<string, Ref>();

  /** Takes a worktree as `root`, which only serves to explain an error. */
  constructor(root: string, directories: GitDirectories) {
    this.#root = root;
    this.#directories = directories;
  }

  /** Lists names and commits as one text, for comparison. */
  async list(): Promise<string> {
    const { common } = this.#directories;
    const words = ['for-each-ref', '--format=%(objectname) %(refname)', 'refs/heads'];
    try {
      // Run in the common directory, not in a worktree: the worktree that the project was opened in may be gone.
      return await git(['--git-dir', common, ...words], { cwd: common });
    } catch (error) {
      throw error instanceof GitError ? gitUnusable(await explain(this.#root, error)) : error;
    }
  }

  /**
   * Reads all branches. Reads again while git renames a branch (which takes git several steps) or changes what was just
   * read.
   */
  async readAll(): Promise<{ text: string; refs: Ref[] }> {
    for (let tries = 1; ; tries++) {
      const text = await this.list();
      const refs = await Promise.all(refsOf(text).map((ref) => this.#read(ref)));
      const isUnchanged = refs.every(({ name, stamp }) => stamp === this.stampOf(name)) && text === (await this.list());
      if ((!isUnchanged || this.#isRenaming()) && tries < MAX_READS) {
        await delay(RENAMING_MS);
        continue;
      }
      const names = new Set(refs.map(({ name }) => name));
      for (const name of this.#readBefore.keys()) if (!names.has(name)) this.#readBefore.delete(name);
      return { text, refs };
    }
  }

  /** Returns a stamp that differs between two states of a branch's files. Costs two stats. */
  stampOf(name: string): string {
    const { common } = this.#directories;
    const tables = fileOf(join(common, 'reftable/tables.list'), true);
    if (tables) return tables;
    const ref = fileOf(join(common, 'refs/heads', name), true);
    const packed = ref ? '' : fileOf(join(common, 'packed-refs'), true);
    return `${fileOf(this.#logPath(name), true)} ${ref || packed}`;
  }

  /** Reads a branch's reflog only if its stamp has changed since the last read. */
  async #read({ name, tip }: Pick<Ref, 'name' | 'tip'>): Promise<Ref> {
    const stamp = this.stampOf(name);
    const before = this.#readBefore.get(name);
    if (before?.stamp === stamp) return { ...before, tip };
    const files = this.#filesOf(name);
    const ref = {
      name,
      tip,
      stamp,
      life: lifeOf(name, await reflogOf(this.#directories, `refs/heads/${name}`)),
      ...files,
    };
    if (this.stampOf(name) === stamp) this.#readBefore.set(name, ref);
    return ref;
  }

  /**
   * Tells whether git is renaming a branch: it puts the reflog aside, removes the reference, and makes both under the
   * new name.
   */
  #isRenaming(): boolean {
    return existsSync(join(this.#directories.common, 'logs/refs/.tmp-renamed-log'));
  }

  #filesOf(name: string): FileIds {
    const ref = join(this.#directories.common, 'refs/heads', name);
    return { logFile: fileOf(this.#logPath(name), false), refFile: fileOf(ref, true) };
  }

  #logPath(name: string): string {
    return reflogPath(this.#directories, `refs/heads/${name}`);
  }
}

function refsOf(text: string): Pick<Ref, 'name' | 'tip'>[] {
  return text.split('\n').flatMap((line) => {
    const at = line.indexOf(' refs/heads/');
    return at < 0 ? [] : [{ tip: line.slice(0, at), name: line.slice(at + ' refs/heads/'.length) }];
  });
}

/** Identifies a file; with `content`, also its state. Returns an empty string when there is no such file. */
function fileOf(path: string, content: boolean): string {
  try {
    const stat = statSync(path, { bigint: true });
    if (!stat.isFile()) return '';
    // An inode number alone is not enough: that of a deleted file is reused at once.
    const file = `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
    return content ? `${file}:${stat.mtimeNs}:${stat.size}` : file;
  } catch {
    return '';
  }
}
