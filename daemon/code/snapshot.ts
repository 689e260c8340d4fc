/**
 * Code snapshots in a shadow repository of our own, `<store>/code.git`, with its own index and objects: nothing of ours
 * enters the user's objects, refs, index or worktree list. Filters, hooks and fsmonitor are off.
 */

import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { inside } from '../../base/inside.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { Pending } from '../store/pending.ts';
import { GitError, type GitOptions, git, requireObjectId } from './git.ts';
import { askGit } from './repository.ts';
import { SHADOW, soundShadow } from './shadow.ts';

const MAX_FILE_BYTES = 1 << 20;
const MAX_TOTAL_BYTES = 50 << 20;

/** What trainings and tools write, where nobody has told git to ignore it: no code, and another one after each run. */
const WRITTEN =
  /(^|\/)(__pycache__|\.ipynb_checkpoints|\.pytest_cache|\.mypy_cache|wandb|mlruns|lightning_logs)\/|\.py[co]$|\.(pt|pth|ckpt|safetensors|pdparams|pdopt|h5|keras|npz)$|(^|\/)events\.out\.tfevents\./;

export interface Snapshot {
  /** Tree id in the shadow repository. */
  tree: string;
  dirty: boolean;
  /** What was too large. */
  leftOut: { path: string; bytes: number }[];
}

/** One after the other: git refuses a second writer of an index. */
const underWay = new Map<string, Promise<unknown>>();

/** Where git has its lock while it changes a worktree's files, by root; it stays where it is. */
const indexLocks = new Map<string, string>();

/** Tells whether a git command is changing files of the worktree at this moment. Rejects with `gitUnusable`. */
export async function isGitWriting(root: string): Promise<boolean> {
  let path = indexLocks.get(root);
  if (path === undefined) {
    const said = await askGit(['rev-parse', '--git-path', 'index.lock'], { cwd: root });
    if (said === null) return false;
    path = resolve(root, said);
    indexLocks.set(root, path);
  }
  return existsSync(path);
}

/** Rejects with `gitUnusable`, or with `GitError` where the shadow repository is the problem: code is then not kept. */
export function takeSnapshot(root: string, store: string): Promise<Snapshot> {
  const key = `${store}\0${root}`;
  const snapshot = (underWay.get(key) ?? Promise.resolve()).then(() => snapshotNow(root, store));
  const settled = snapshot.catch(() => {});
  underWay.set(key, settled);
  void settled.then(() => underWay.get(key) === settled && underWay.delete(key));
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
  const written = others.filter((path) => !WRITTEN.test(path));
  const { paths, leftOut } = choose(root, [...new Set([...tracked, ...written])]);
  const shadow = await openShadow(store);
  // One index a worktree: git then rehashes only what changed since the last snapshot.
  const index = join(shadow, `index-${createHash('sha256').update(root).digest('hex').slice(0, 12)}`);
  const options = { cwd: root, env: { ...shadowEnvironment(shadow, root), GIT_INDEX_FILE: index } };
  // Of a daemon that was killed: there is one at a time, and it comes here once at a time.
  rmSync(`${index}.lock`, { force: true });
  const known = (await git(['ls-files', '-z'], options)).split('\0').filter(Boolean);
  const present = new Set(paths);
  const gone = known.filter((path) => !present.has(path));
  if (gone.length > 0)
    await git(['update-index', '-z', '--force-remove', '--stdin'], { ...options, input: `${gone.join('\0')}\0` });
  if (paths.length > 0)
    await git(['update-index', '-z', '--add', '--stdin'], { ...options, input: `${paths.join('\0')}\0` });
  const tree = (await git(['write-tree'], options)).trim();
  await keep(shadow, root, tree);
  return { tree, dirty: status !== '', leftOut };
}

/**
 * The snapshot's files in `<store>/code/<tree>`, made once. What the project ignores at its top level (`node_modules`,
 * `.venv`, `data`) is linked in, so that the code runs.
 */
export async function checkOut(root: string, store: string, tree: string): Promise<string> {
  requireObjectId(tree);
  const target = inside(store, `code/${tree}`);
  if (existsSync(target)) return target;
  await writeTree(store, tree, target, async (made) => linkIgnored(root, made, await ignoredEntries(root)));
  return target;
}

/**
 * The snapshot's files and nothing else, for whoever wants to look at them or go on from there. Returns how many. Throws
 * `outputExists` when there is something at `target`.
 */
export async function copyOut(store: string, tree: string, target: string): Promise<number> {
  if (existsSync(target))
    throw new TrainstashError('outputExists', `There is something at ${target} already. Nothing was written.`, {
      path: target,
    });
  return writeTree(store, tree, target, () => {});
}

/** Whole under its name, or not at all. */
async function writeTree(
  store: string,
  tree: string,
  target: string,
  finish: (made: string) => void | Promise<void>,
): Promise<number> {
  requireObjectId(tree);
  const shadow = soundShadow(store);
  const pending = new Pending(store, target);
  const temporary = pending.path;
  const index = join(shadow, `index-checkout-${randomId()}`);
  try {
    mkdirSync(temporary, { recursive: true });
    const options = { cwd: temporary, env: { ...shadowEnvironment(shadow, temporary), GIT_INDEX_FILE: index } };
    await git(['read-tree', tree], options);
    await git(['checkout-index', '--all', '--force'], options);
    const files = await git(['ls-files', '-z'], options);
    await finish(temporary);
    renameSync(temporary, target);
    return files.split('\0').filter(Boolean).length;
  } finally {
    pending.close();
    rmSync(index, { force: true });
  }
}

function choose(root: string, paths: string[]): { paths: string[]; leftOut: Snapshot['leftOut'] } {
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

async function openShadow(store: string): Promise<string> {
  const shadow = inside(store, SHADOW);
  if (!existsSync(join(shadow, 'HEAD')))
    await git(['init', '-q', '--bare', shadow], {
      cwd: store,
      env: { GIT_CONFIG_GLOBAL: '/dev/null', GIT_TEMPLATE_DIR: '' },
    });
  return soundShadow(store);
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

/** A ref keeps the tree from being collected; equal trees share one. */
async function keep(shadow: string, cwd: string, tree: string): Promise<void> {
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
  if (await isThere(ref, { cwd, env })) return;
  const commit = (await git(['commit-tree', tree, '-m', 'snapshot'], { cwd, env })).trim();
  await git(['update-ref', ref, commit], { cwd, env });
}

async function isThere(ref: string, options: GitOptions): Promise<boolean> {
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

function linkIgnored(root: string, target: string, names: readonly string[]): void {
  for (const name of names) {
    const link = join(target, name);
    if (!existsSync(link)) symlinkSync(join(root, name), link, process.platform === 'win32' ? 'junction' : undefined);
  }
}
