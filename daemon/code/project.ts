/** Finds the project of a folder: root, place of the store, branch. */
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { storePlace } from '../../base/store-place.ts';
import { CONFIG_FILE, CONFIG_FILES } from '../../protocol/config-file.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { gitUnusable } from './failure.ts';
import { commonOf, locateRepository } from './locate.ts';
import type { GitDirectories } from './reflog.ts';
import { askGit, findRepository } from './repository.ts';

export interface Place {
  root: string;
  /** Store folder, shared by all worktrees of a repository. */
  store: string;
  git: boolean;
  /** Folder that the store should move to: it was made before `git init`, in the tree, where `git clean` deletes it. */
  moveTo?: string;
  /** Second store of this folder, which is not used. */
  other?: string;
  /** Network file system of the project, for which the store is on another disk of this machine. */
  network?: string;
}

const STORE_NAME = 'trainstash';
const PLAIN_STORE_NAME = '.trainstash';

/**
 * Finds the project. Throws `notFound` for a folder that is not a project: not in a repository, and without a config or
 * store in it or above it. With `create` such a folder becomes a project. Throws `gitUnusable` in a repository that git
 * cannot read.
 */
export async function findProject(folder: string, create = false): Promise<Place> {
  const place = await usualPlace(folder, create);
  const { store, network } = storePlace(place.store);
  return network === null ? place : { root: place.root, store, git: place.git, network };
}

async function usualPlace(folder: string, create: boolean): Promise<Place> {
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
  const root = nearestWith(start, [...CONFIG_FILES, PLAIN_STORE_NAME]) ?? (create ? start : null);
  if (root === null) {
    throw new TrainstashError(
      'notFound',
      `${start} is not a project yet: it is not in a git repository and has no ${CONFIG_FILE}. Nothing was started or written. \`trainstash init\` makes it a project.`,
      { what: 'project', query: folder },
    );
  }
  return { root, store: join(root, PLAIN_STORE_NAME), git: false };
}

/**
 * Tells from files alone whether a folder's project still has its store there: `git init` makes another one of it, and a `.git` that
 * is gone or was moved must not be made anew by opening a store in it.
 */
export function isStillAt({ root, store, git, network }: Place, folder: string): boolean {
  if (!existsSync(root)) return false;
  const located = locateRepository(folder);
  if (!git) return located.kind === 'none';
  if (located.kind !== 'found' || located.gitDirectory === null) return false;
  return network !== undefined || dirname(store) === realpathSync(commonOf(located.gitDirectory));
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
  // A store in a folder below belongs to another project: its paths begin there.
  const isOfRoot = first === join(root, PLAIN_STORE_NAME);
  if (!isOfRoot || hasStore(store)) return { root, store, git: true, other: first };
  return { root, store: first, git: true, moveTo: store, ...(second ? { other: second } : {}) };
}

function hasStore(folder: string): boolean {
  return existsSync(join(folder, 'objects.db'));
}

const BRANCHES = 'refs/heads/';
const MAIN_WORKTREE = 'main-worktree';

/** Returns git's name for a worktree, which survives moving its folder. */
export function worktreeName({ gitDirectory, common }: GitDirectories): string {
  return dirname(gitDirectory) === join(common, 'worktrees') ? basename(gitDirectory) : MAIN_WORKTREE;
}

/** Lists the names of all worktrees, including those on a disk that is not mounted now. */
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

/** Reads HEAD. Throws `gitUnusable`. */
export async function readHead(root: string): Promise<Head> {
  const [branch, commit] = await Promise.all([
    readBranch(root),
    askGit(['rev-parse', '-q', '--verify', 'HEAD'], { cwd: root }),
  ]);
  return { branch, commit: commit || null };
}

/** Reads the branch alone; null on a detached HEAD. Throws `gitUnusable`. */
export async function readBranch(root: string): Promise<string | null> {
  // symbolic-ref, not the file: with reftable .git/HEAD never changes. Not the short form, which changes if a tag has the branch's name.
  const ref = await askGit(['symbolic-ref', '-q', 'HEAD'], { cwd: root });
  return ref?.startsWith(BRANCHES) ? ref.slice(BRANCHES.length) : null;
}

function nearestWith(start: string, names: readonly string[]): string | null {
  for (let folder = start; ; folder = dirname(folder)) {
    if (names.some((name) => existsSync(join(folder, name)))) return folder;
    if (dirname(folder) === folder) return null;
  }
}
