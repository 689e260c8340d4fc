/** Reads all local branches with their logs, as they are at one moment. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { explain, gitUnusable } from '../code/failure.ts';
import { GitError, git } from '../code/git.ts';
import { type GitDirectories, reflogOf, reflogPath } from '../code/reflog.ts';
import type { Files, Ref } from './match-branches.ts';
import { lifeOf } from './same-branch.ts';

/** A git that is stopped in the middle of a rename may stay there; then what is there counts. */
const RENAMING_MS = 20;
const MAX_READS = 50;

export class BranchReader {
  readonly #root: string;
  readonly #directories: GitDirectories;
  readonly #readBefore = new Map<string, Ref>();

  /** `root`: a worktree, to say what is wrong with. */
  constructor(root: string, directories: GitDirectories) {
    this.#root = root;
    this.#directories = directories;
  }

  /** Names and commits, as a text to compare. */
  async list(): Promise<string> {
    const { common } = this.#directories;
    const words = ['for-each-ref', '--format=%(objectname) %(refname)', 'refs/heads'];
    try {
      // Not from a worktree: the one that the project was opened in may be gone.
      return await git(['--git-dir', common, ...words], { cwd: common });
    } catch (error) {
      throw error instanceof GitError ? gitUnusable(await explain(this.#root, error)) : error;
    }
  }

  /** Again while git renames a branch, which takes it several steps, or changes what was read. */
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

  /** What tells one state of a branch's files from another, at the cost of two stats. */
  stampOf(name: string): string {
    const { common } = this.#directories;
    const tables = fileOf(join(common, 'reftable/tables.list'), true);
    if (tables) return tables;
    const ref = fileOf(join(common, 'refs/heads', name), true);
    const packed = ref ? '' : fileOf(join(common, 'packed-refs'), true);
    return `${fileOf(this.#logPath(name), true)} ${ref || packed}`;
  }

  /** Reads only what is another than before. */
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

  /** git puts the log of a branch aside, removes the reference, and makes both under the new name. */
  #isRenaming(): boolean {
    return existsSync(join(this.#directories.common, 'logs/refs/.tmp-renamed-log'));
  }

  #filesOf(name: string): Files {
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

/** What tells one file from another; with `content`, also one state of it. Empty when there is none. */
function fileOf(path: string, content: boolean): string {
  try {
    const stat = statSync(path, { bigint: true });
    if (!stat.isFile()) return '';
    // The number of a deleted file is given to a new one at once.
    const file = `${stat.dev}:${stat.ino}:${stat.birthtimeNs}`;
    return content ? `${file}:${stat.mtimeNs}:${stat.size}` : file;
  } catch {
    return '';
  }
}
