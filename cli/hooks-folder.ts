/** Finds the folder in which git looks for a repository's hooks, and whether hooks there run in other repositories too. */
import { spawnSync } from 'node:child_process';
import { realpathSync, statSync } from 'node:fs';
import { relative, resolve, sep } from 'node:path';

export interface HooksFolder {
  folder: string;
  /** Root of the worktree. */
  top: string;
  /** True if the folder is inside the repository; else other repositories may use it too. */
  isOwn: boolean;
  /** True if the folder is in the worktree and has committed files: everybody who clones the repository gets them. */
  isTracked: boolean;
  inTree: boolean;
  /** Configuration file that sets the folder; null: it is git's default. */
  namedIn: string | null;
}

/** Finds the hooks folder; null: outside a repository, or git fails. */
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

/** Resolves links of a path that may not exist yet. */
function realPath(path: string): string {
  if (statSync(path, { throwIfNoEntry: false })) return realpathSync(path);
  const parent = resolve(path, '..');
  return parent === path ? path : resolve(realPath(parent), relative(parent, path));
}

function isInside(path: string, folder: string): boolean {
  const inside = relative(folder, path);
  return inside === '' || !(inside === '..' || inside.startsWith(`..${sep}`) || resolve(inside) === inside);
}
