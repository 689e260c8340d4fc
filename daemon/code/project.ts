/** From a folder to the project it is in: root, place of the store, branch. */
import { existsSync, readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CONFIG_FILE } from '../../protocol/config.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { tryGit } from './git.ts';

export interface Place {
  root: string;
  /** Shared by all worktrees of a repository. */
  store: string;
  git: boolean;
}

const STORE_NAME = 'trainstash';
const PLAIN_STORE_NAME = '.trainstash';

/**
 * Throws `notFound` for a folder that is no project: neither a repository nor with a config or store of ours in it or
 * above it. With `create` such a folder becomes one.
 */
export async function findProject(folder: string, create = false): Promise<Place> {
  let start: string;
  try {
    start = realpathSync(folder);
  } catch {
    throw new TrainstashError('notFound', `There is no folder ${folder}.`, { what: 'project', query: folder });
  }
  const top = await tryGit(['rev-parse', '--show-toplevel'], { cwd: start });
  if (top) {
    const root = realpathSync(top);
    // A store made before `git init` stays where it is.
    const plain = join(root, PLAIN_STORE_NAME);
    if (existsSync(join(plain, 'objects.db'))) return { root, store: plain, git: true };
    const common = await tryGit(['rev-parse', '--git-common-dir'], { cwd: root });
    return { root, store: join(resolve(root, common!), STORE_NAME), git: true };
  }
  const root = nearestWith(start, [CONFIG_FILE, PLAIN_STORE_NAME]) ?? (create ? start : null);
  if (root === null) {
    throw new TrainstashError(
      'notFound',
      `${start} is no git repository and has no ${CONFIG_FILE}, so there is nothing to look at. \`trainstash init\` makes it a project.`,
      { what: 'project', query: folder },
    );
  }
  return { root, store: join(root, PLAIN_STORE_NAME), git: false };
}

const MAIN_WORKTREE = 'main-worktree';

/** What git calls a worktree, which holds when its folder is moved; null without one. */
export async function worktreeName(root: string): Promise<string | null> {
  const [own, common] = await Promise.all([
    tryGit(['rev-parse', '--absolute-git-dir'], { cwd: root }),
    commonDirectory(root),
  ]);
  if (!own || !common) return null;
  return dirname(own) === join(common, 'worktrees') ? basename(own) : MAIN_WORKTREE;
}

/** Of all worktrees that there are, also those whose folder is on a disk that is not mounted now. */
export async function worktreeNames(root: string): Promise<string[] | null> {
  const common = await commonDirectory(root);
  if (!common) return null;
  const folder = join(common, 'worktrees');
  return [MAIN_WORKTREE, ...(existsSync(folder) ? readdirSync(folder) : [])];
}

async function commonDirectory(root: string): Promise<string | null> {
  const common = await tryGit(['rev-parse', '--git-common-dir'], { cwd: root });
  return common && realpathSync(resolve(root, common));
}

export interface Head {
  /** Null on a detached HEAD and without git. */
  branch: string | null;
  /** Null before the first commit. */
  commit: string | null;
}

export async function readHead(root: string): Promise<Head> {
  // symbolic-ref, not the file: with reftable .git/HEAD never changes.
  const [branch, commit] = await Promise.all([
    tryGit(['symbolic-ref', '-q', '--short', 'HEAD'], { cwd: root }),
    tryGit(['rev-parse', '-q', '--verify', 'HEAD'], { cwd: root }),
  ]);
  return { branch: branch || null, commit: commit || null };
}

function nearestWith(start: string, names: readonly string[]): string | null {
  for (let folder = start; ; folder = dirname(folder)) {
    if (names.some((name) => existsSync(join(folder, name)))) return folder;
    if (dirname(folder) === folder) return null;
  }
}
