/** From a folder to the project it is in: root, place of the store, branch. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { CONFIG_FILE } from '../../protocol/config.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { gitUnusable } from './failure.ts';
import type { GitDirectories } from './reflog.ts';
import { askGit, findRepository } from './repository.ts';

export interface Place {
  root: string;
  /** Shared by all worktrees of a repository. */
  store: string;
  git: boolean;
  /** Where the store belongs: it was made before `git init`, in the tree, where `git clean` deletes it. */
  moveTo?: string;
  /** A second store of this folder, which is not used. */
  other?: string;
}

const STORE_NAME = 'trainstash';
const PLAIN_STORE_NAME = '.trainstash';

/**
 * Throws `notFound` for a folder that is no project: neither in a repository nor with a config or store of ours in it or
 * above it. With `create` such a folder becomes one. Throws `gitUnusable` in a repository that git does not give.
 */
export async function findProject(folder: string, create = false): Promise<Place> {
  let start: string;
  try {
    start = realpathSync(folder);
  } catch {
    throw noFolder(folder);
  }
  if (!statSync(start).isDirectory()) throw noFolder(folder);
  const repository = await findRepository(start);
  if (repository.kind === 'failed') throw gitUnusable(repository.failure);
  if (repository.kind === 'repository') return placeIn(repository, start);
  const root = nearestWith(start, [CONFIG_FILE, PLAIN_STORE_NAME]) ?? (create ? start : null);
  if (root === null) {
    throw new TrainstashError(
      'notFound',
      `${start} is no project yet: it is in no git repository and has no ${CONFIG_FILE}. Nothing was started or written. \`trainstash init\` makes it a project.`,
      { what: 'project', query: folder },
    );
  }
  return { root, store: join(root, PLAIN_STORE_NAME), git: false };
}

function noFolder(folder: string): TrainstashError {
  return new TrainstashError('notFound', `There is no folder ${folder}.`, { what: 'project', query: folder });
}

function placeIn({ root, common }: { root: string; common: string }, start: string): Place {
  const store = join(common, STORE_NAME);
  const folders = [start];
  while (folders[0] !== root && dirname(folders[0]!) !== folders[0]) folders.unshift(dirname(folders[0]!));
  const [first, second] = folders.map((folder) => join(folder, PLAIN_STORE_NAME)).filter(hasStore);
  if (!first) return { root, store, git: true };
  // One of a folder below is of another project: its paths begin there.
  const isOfRoot = first === join(root, PLAIN_STORE_NAME);
  if (!isOfRoot || hasStore(store)) return { root, store, git: true, other: first };
  return { root, store: first, git: true, moveTo: store, ...(second ? { other: second } : {}) };
}

function hasStore(folder: string): boolean {
  return existsSync(join(folder, 'objects.db'));
}

const BRANCHES = 'refs/heads/';
const MAIN_WORKTREE = 'main-worktree';

/** What git calls a worktree, which holds when its folder is moved. */
export function worktreeName({ gitDirectory, common }: GitDirectories): string {
  return dirname(gitDirectory) === join(common, 'worktrees') ? basename(gitDirectory) : MAIN_WORKTREE;
}

/** Of all worktrees that there are, also those whose folder is on a disk that is not mounted now. */
export function worktreeNames(common: string): string[] {
  const folder = join(common, 'worktrees');
  return [MAIN_WORKTREE, ...(existsSync(folder) ? readdirSync(folder) : [])];
}

export interface Head {
  /** Null on a detached HEAD and without git. */
  branch: string | null;
  /** Null before the first commit. */
  commit: string | null;
}

/** Throws `gitUnusable`. */
export async function readHead(root: string): Promise<Head> {
  // symbolic-ref, not the file: with reftable .git/HEAD never changes.
  const [ref, commit] = await Promise.all([
    // Not its short form, which is another where a tag has the branch's name.
    askGit(['symbolic-ref', '-q', 'HEAD'], { cwd: root }),
    askGit(['rev-parse', '-q', '--verify', 'HEAD'], { cwd: root }),
  ]);
  const branch = ref?.startsWith(BRANCHES) ? ref.slice(BRANCHES.length) : null;
  return { branch, commit: commit || null };
}

function nearestWith(start: string, names: readonly string[]): string | null {
  for (let folder = start; ; folder = dirname(folder)) {
    if (names.some((name) => existsSync(join(folder, name)))) return folder;
    if (dirname(folder) === folder) return null;
  }
}
