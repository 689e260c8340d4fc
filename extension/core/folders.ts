/** Finds folders with a project that has something to show, without starting a daemon. Does not use `vscode`. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { CONFIG_FILES } from '../../protocol/config-file.ts';

/** Names whose presence makes a folder a project. */
const MARKS = [...CONFIG_FILES, '.trainstash'];

/** Tells whether a folder, or one above it, has jobs or a store. */
export async function isInUse(folder: string): Promise<boolean> {
  for (let path = folder; ; path = dirname(path)) {
    if ((await Promise.all(MARKS.map((name) => exists(join(path, name))))).includes(true)) return true;
    const git = await gitDirectory(path);
    if (git) return exists(join(git, 'trainstash'));
    if (dirname(path) === path) return false;
  }
}

/** Returns the git directory that all worktrees share, if `.git` is in this folder. */
async function gitDirectory(folder: string): Promise<string | null> {
  const git = join(folder, '.git');
  const found = await stat(git).catch(() => null);
  if (!found) return null;
  if (found.isDirectory()) return git;
  // In a linked worktree or a submodule, `.git` is a file with the path.
  const pointer = /^gitdir: (?<path>.+)$/m.exec(await readFile(git, 'utf8').catch(() => ''))?.groups?.path;
  if (!pointer) return null;
  const own = resolve(folder, pointer.trim());
  const common = await readFile(join(own, 'commondir'), 'utf8').catch(() => '.');
  return resolve(own, common.trim());
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
