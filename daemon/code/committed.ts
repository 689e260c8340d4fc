/** Remembers what commits contain, which never changes: each switch asks again for the same two branches. */

import { branchInFiles } from './reference-files.ts';
import type { GitDirectories } from './reflog.ts';
import { fileOfCommit, filesOfCommit } from './tracked.ts';

/** Number of texts and of lists of names that are kept. */
const MAX_TEXTS = 20;
const MAX_LISTS = 4;
/** Length of a list above which it is asked for again rather than kept. */
const MAX_NAMES = 20_000;

export class Committed {
  readonly #root: string;
  readonly #directories: GitDirectories;
  readonly #texts = new Map<string, string | null>();
  readonly #lists = new Map<string, string[]>();

  constructor(root: string, directories: GitDirectories) {
    this.#root = root;
    this.#directories = directories;
  }

  /** Reads a file in the top folder of a branch's or a commit's tree; null when it has none, or is gone. Throws `gitUnusable`. */
  async text(revision: string, name: string): Promise<string | null> {
    const read = () => fileOfCommit(this.#root, revision, name);
    const isKept = (text: string | null | undefined) => text !== undefined;
    return (
      (await this.#remembered<string | null | undefined, string | null>(
        this.#texts,
        MAX_TEXTS,
        revision,
        name,
        read,
        isKept,
      )) ?? null
    );
  }

  /** Lists the files of a branch or a commit; none when it is gone. Throws `gitUnusable`. */
  names(revision: string): Promise<string[]> {
    const read = () => filesOfCommit(this.#root, revision);
    const isKept = (names: string[]) => names.length > 0 && names.length <= MAX_NAMES;
    return this.#remembered(this.#lists, MAX_LISTS, revision, '', read, isKept);
  }

  async #remembered<T, Kept extends T>(
    kept: Map<string, Kept>,
    most: number,
    revision: string,
    name: string,
    read: () => Promise<T>,
    isKept: (value: T) => boolean,
  ): Promise<T> {
    const commit = this.#commitOf(revision);
    if (commit === null) return read();
    const key = `${commit} ${name}`;
    const known = kept.get(key);
    // Put back at the end: the oldest goes first.
    if (known !== undefined) kept.delete(key);
    const value = known ?? (await read());
    // A branch that has moved meanwhile was read at an unknown commit.
    if (known !== undefined || (isKept(value) && this.#commitOf(revision) === commit)) kept.set(key, value as Kept);
    if (kept.size > most) kept.delete(kept.keys().next().value!);
    return value;
  }

  #commitOf(revision: string): string | null {
    return revision.startsWith('refs/') ? branchInFiles(this.#directories.common, revision) : revision;
  }
}
