/**
 * Code snapshots in a separate shadow repository, `<store>/code.git`, with its own index and objects: nothing enters
 * the user's objects, refs, index or worktree list. Filters, hooks and fsmonitor are off.
 */

import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { inside } from '../../base/inside.ts';
import { Pending } from '../../base/pending.ts';
import { ARRAY_ENDINGS, endingIn, STATE_ENDINGS } from '../../protocol/checkpoint-endings.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { GitError, type GitOptions, git, requireObjectId } from './git.ts';
import { askGit } from './repository.ts';
import { SHADOW, safeShadow } from './shadow.ts';

const MAX_FILE_BYTES = 1 << 20;
const MAX_TOTAL_BYTES = 50 << 20;

/** Output of trainings and tools that git may not ignore: it is not code, and changes with each run. */
const TOOL_OUTPUT =
  /(^|\/)(__pycache__|\.ipynb_checkpoints|\.pytest_cache|\.mypy_cache|wandb|mlruns|lightning_logs)\/|\.py[co]$|(^|\/)events\.out\.tfevents\./;
const CHECKPOINT = endingIn([...STATE_ENDINGS, ...ARRAY_ENDINGS]);

export interface Snapshot {
  /** Tree id in the shadow repository. */
  tree: string;
  dirty: boolean;
  /** Files that were too large. */
  leftOut: { path: string; bytes: number }[];
}

/** Snapshots under way by worktree. They run one after another: git refuses a second writer of an index. */
const snapshotsUnderWay = new Map<string, Promise<unknown>>();

/** Path of git's lock while it changes a worktree's files, by root; the path never changes. */
const indexLocks = new Map<string, string>();

/** Tells whether a git command is changing files of the worktree at this moment. Rejects with `gitUnusable`. */
export async function isGitWriting(root: string): Promise<boolean> {
  let path = indexLocks.get(root);
  if (path === undefined) {
    const answer = await askGit(['rev-parse', '--git-path', 'index.lock'], { cwd: root });
    if (answer === null) return false;
    path = resolve(root, answer);
    indexLocks.set(root, path);
  }
  return existsSync(path);
}

/**
 * Takes a snapshot. Rejects with `gitUnusable`, or with `GitError` where the shadow repository fails: the code is then
 * not kept.
 */
export function takeSnapshot(root: string, store: string): Promise<Snapshot> {
  const key = `${store}\0${root}`;
  const snapshot = (snapshotsUnderWay.get(key) ?? Promise.resolve()).then(() => snapshotNow(root, store));
  const settled = snapshot.catch(() => {});
  snapshotsUnderWay.set(key, settled);
  void settled.then(() => snapshotsUnderWay.get(key) === settled && snapshotsUnderWay.delete(key));
  return snapshot;
}

async function snapshotNow(root: string, store: string): Promise<Snapshot> {
  const list = async (...which: string[]) =>
    ((await askGit(['ls-files', '-z', ...which], { cwd: root })) ?? '').split('\0').filter(Boolean);
  const [tracked, others, status] = await Promise.all([
    list('--cached'),
    list('--others', '--exclude-standard'),
    askGit(['status', '--porcelain', '--untracked-files=no'], { cwd: root }),
  ]);
  const untracked = others.filter((path) => !TOOL_OUTPUT.test(path) && !CHECKPOINT.test(path));
  const { paths, leftOut } = selectFiles(root, [...new Set([...tracked, ...untracked])]);
  const shadow = await openShadow(store);
  // One index for each worktree: git then rehashes only the files that changed since the last snapshot.
  const index = join(shadow, `index-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`);
  const options = { cwd: root, env: { ...shadowEnvironment(shadow, root), GIT_INDEX_FILE: index } };
  // A killed daemon left it: there is one daemon at a time, and it is here once at a time.
  rmSync(`${index}.lock`, { force: true });
  const indexed = (await git(['ls-files', '-z'], options)).split('\0').filter(Boolean);
  const present = new Set(paths);
  const gone = indexed.filter((path) => !present.has(path));
  if (gone.length > 0)
    await git(['update-index', '-z', '--force-remove', '--stdin'], { ...options, input: `${gone.join('\0')}\0` });
  if (paths.length > 0)
    await git(['update-index', '-z', '--add', '--stdin'], { ...options, input: `${paths.join('\0')}\0` });
  const tree = (await git(['write-tree'], options)).trim();
  await keepReachable(shadow, root, tree);
  return { tree, dirty: status !== '', leftOut };
}

/**
 * Checks out a snapshot's files to `<store>/code/<tree>`, once. Links the ignored top-level entries of the project
 * (`node_modules`, `.venv`, `data`), so that the code runs.
 */
export async function checkOut(root: string, store: string, tree: string): Promise<string> {
  requireObjectId(tree);
  const target = inside(store, `code/${tree}`);
  if (existsSync(target)) return target;
  await writeTree(store, tree, target, async (made) => {
    await linkIgnoredEntries(root, made);
  });
  return target;
}

/**
 * Copies a snapshot's files and nothing else to `target`. Returns their number. Throws `outputExists` when something is
 * at `target`.
 */
export async function copyOut(store: string, tree: string, target: string): Promise<number> {
  if (existsSync(target))
    throw new TrainstashError(
      'outputExists',
      `${target} exists already. Nothing was written. Name another path, or move that away.`,
      {
        path: target,
      },
    );
  return writeTree(store, tree, target, () => {});
}

/** Writes a tree so that it appears complete under its name, or not at all. */
async function writeTree(
  store: string,
  tree: string,
  target: string,
  finish: (made: string) => void | Promise<void>,
): Promise<number> {
  requireObjectId(tree);
  const pending = new Pending(store, target);
  const temporary = pending.path;
  try {
    mkdirSync(temporary, { recursive: true });
    const count = await checkOutFiles(store, tree, temporary);
    await finish(temporary);
    renameSync(temporary, target);
    return count;
  } finally {
    pending.close();
  }
}

/** Writes the files of a tree into an existing folder, over those that are there. Returns their number. */
export async function checkOutFiles(store: string, tree: string, folder: string): Promise<number> {
  const shadow = safeShadow(store);
  const index = join(shadow, `index-checkout-${randomId()}`);
  const options = { cwd: folder, env: { ...shadowEnvironment(shadow, folder), GIT_INDEX_FILE: index } };
  try {
    await git(['read-tree', tree], options);
    await git(['checkout-index', '--all', '--force'], options);
    return (await git(['ls-files', '-z'], options)).split('\0').filter(Boolean).length;
  } finally {
    rmSync(index, { force: true });
  }
}

function selectFiles(root: string, paths: string[]): { paths: string[]; leftOut: Snapshot['leftOut'] } {
  const chosen: string[] = [];
  const leftOut: Snapshot['leftOut'] = [];
  let total = 0;
  for (const path of paths) {
    const stat = lstatSync(join(root, path), { throwIfNoEntry: false });
    // Deleted, or a submodule's folder.
    if (!stat || stat.isDirectory()) continue;
    if (!stat.isFile() && !stat.isSymbolicLink()) continue;
    if (stat.size > MAX_FILE_BYTES || total + stat.size > MAX_TOTAL_BYTES) leftOut.push({ path, bytes: stat.size });
    else {
      total += stat.size;
      chosen.push(path);
    }
  }
  return { paths: chosen, leftOut };
}

/** Opens the shadow repository, and makes it if there is none. */
export async function openShadow(store: string): Promise<string> {
  const shadow = inside(store, SHADOW);
  if (!existsSync(join(shadow, 'HEAD')))
    await git(['init', '-q', '--bare', shadow], {
      cwd: store,
      env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_TEMPLATE_DIR: '' },
    });
  return safeShadow(store);
}

function shadowEnvironment(shadow: string, workTree: string): Record<string, string> {
  return {
    GIT_DIR: shadow,
    GIT_WORK_TREE: workTree,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_COUNT: '2',
    GIT_CONFIG_KEY_0: 'core.bare',
    GIT_CONFIG_VALUE_0: 'false',
    GIT_CONFIG_KEY_1: 'core.autocrlf',
    GIT_CONFIG_VALUE_1: 'false',
  };
}

/** Creates a ref that keeps the tree from being collected; equal trees share one. */
async function keepReachable(shadow: string, cwd: string, tree: string): Promise<void> {
  const env = {
    GIT_DIR: shadow,
    GIT_AUTHOR_NAME: 'trainstash',
    GIT_AUTHOR_EMAIL: 'trainstash',
    GIT_AUTHOR_DATE: '2000-01-01T00:00:00Z',
    GIT_COMMITTER_NAME: 'trainstash',
    GIT_COMMITTER_EMAIL: 'trainstash',
    GIT_COMMITTER_DATE: '2000-01-01T00:00:00Z',
  };
  const ref = `refs/snapshots/${tree}`;
  if (await refExists(ref, { cwd, env })) return;
  const commit = (await git(['commit-tree', tree, '-m', 'snapshot'], { cwd, env })).trim();
  await git(['update-ref', ref, commit], { cwd, env });
}

async function refExists(ref: string, options: GitOptions): Promise<boolean> {
  try {
    await git(['rev-parse', '-q', '--verify', ref], options);
    return true;
  } catch (error) {
    if (error instanceof GitError && error.end === 1) return false;
    throw error;
  }
}

async function ignoredEntries(root: string): Promise<string[]> {
  const entries = readdirSync(root).filter((name) => name !== '.git' && name !== '.trainstash');
  const ignored = await askGit(['check-ignore', '-z', '--stdin'], { cwd: root, input: entries.join('\0') });
  return ignored === null ? [] : ignored.split('\0').filter(Boolean);
}

/** Links the ignored top-level entries of a project into a copy of it. Returns their names. */
export async function linkIgnoredEntries(root: string, target: string): Promise<string[]> {
  const names = await ignoredEntries(root);
  for (const name of names) {
    const link = join(target, name);
    if (!existsSync(link)) symlinkSync(join(root, name), link, process.platform === 'win32' ? 'junction' : undefined);
  }
  return names;
}
