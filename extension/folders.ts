/** Which folder is a project that has something to show: found without starting a daemon. Free of `vscode`. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

/** Whether a folder, or one above it, has jobs or a store of ours. */
export async function isInUse(folder: string): Promise<boolean> {
  for (let path = folder; ; path = dirname(path)) {
    if ((await exists(join(path, 'trainstash.json'))) || (await exists(join(path, '.trainstash')))) return true;
    const git = await gitDirectory(path);
    if (git) return exists(join(git, 'trainstash'));
    if (dirname(path) === path) return false;
  }
}

/** The directory that all worktrees share, if `.git` is in this folder. */
async function gitDirectory(folder: string): Promise<string | null> {
  const git = join(folder, '.git');
  const found = await stat(git).catch(() => null);
  if (!found) return null;
  if (found.isDirectory()) return git;
  // A linked worktree or a submodule: a file that says where.
  const pointer = /^gitdir: (?<path>.+)$/m.exec(await readFile(git, 'utf8').catch(() => ''))?.groups?.path;
  if (!pointer) return null;
  const own = resolve(folder, pointer.trim());
  const common = await readFile(join(own, 'commondir'), 'utf8').catch(() => '.');
  return resolve(own, common.trim());
}

async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => null)) !== null;
}
