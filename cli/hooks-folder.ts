/** Where git looks for the hooks of a repository, and whether a hook there runs in others too. */
import { spawnSync } from 'node:child_process';
import { realpathSync, statSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';

export interface HooksFolder {
  folder: string;
  /** The worktree. */
  top: string;
  /** Inside the repository; else it serves whoever else names it. */
  isOwn: boolean;
  /** In the worktree, and files there are committed: it belongs to everybody who clones it. */
  isTracked: boolean;
  inTree: boolean;
  /** The file that names it; null: it is git's own place. */
  namedIn: string | null;
}

/** Null outside a repository, or where git fails. */
export function hooksFolder(root: string): HooksFolder | null {
  const found = git(root, 'rev-parse', '--show-toplevel');
  if (found === null) return null;
  const top = realpathSync(found);
  const common = git(top, 'rev-parse', '--git-common-dir');
  const asked = git(top, 'rev-parse', '--git-path', 'hooks');
  if (common === null || asked === null) return null;
  const folder = realPath(resolve(top, asked));
  const inGit = isInside(folder, realPath(resolve(top, common)));
  const inTree = !inGit && isInside(folder, top);
  const origin = git(top, 'config', '--show-origin', '--get', 'core.hooksPath');
  return {
    folder,
    top,
    isOwn: inGit || inTree,
    isTracked: inTree && git(top, 'ls-files', '--', relative(top, folder) || '.') !== '',
    inTree,
    namedIn: origin?.slice(0, origin.lastIndexOf('\t')).replace(/^file:/, '') ?? null,
  };
}

function git(cwd: string, ...args: string[]): string | null {
  const { status, stdout } = spawnSync('git', args, { cwd, encoding: 'utf8' });
  return status === 0 ? stdout.replace(/\n$/, '') : null;
}

/** Of a folder that need not be there yet. */
function realPath(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })) return realpathSync(path);
  const parent = resolve(path, '..');
  return parent === path ? path : resolve(realPath(parent), relative(parent, path));
}

function isInside(path: string, folder: string): boolean {
  const inside = relative(folder, path);
  return inside === '' || !(inside === '..' || inside.startsWith(`..${sep}`) || resolve(inside) === inside);
}
