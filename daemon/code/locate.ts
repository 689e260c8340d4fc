/** Finds the repository of a folder by its files alone, without git. */
import { existsSync, lstatSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';

export type Located =
  | { kind: 'none' }
  /** `gitDirectory` is null when a `.git` file names a missing folder. */
  | { kind: 'found'; root: string; dot: string; gitDirectory: string | null }
  /** The folder is git's own: that of a bare repository, or a `.git`. */
  | { kind: 'bare'; path: string }
  | { kind: 'unreadable'; path: string };

/** Searches upwards for a `.git` as git does: not beyond the file system of the folder. */
export function locateRepository(start: string): Located {
  let device: number | undefined;
  for (let folder = start; ; folder = dirname(folder)) {
    try {
      const { dev } = statSync(folder);
      if (device !== undefined && dev !== device) return { kind: 'none' };
      device = dev;
      const found = repositoryAt(folder);
      if (found) return found;
    } catch (error) {
      const { code, path } = error as NodeJS.ErrnoException;
      if (code !== 'EACCES' && code !== 'EPERM') throw error;
      return { kind: 'unreadable', path: path ?? folder };
    }
    if (dirname(folder) === folder) return { kind: 'none' };
  }
}

function repositoryAt(root: string): Located | null {
  const dot = join(root, '.git');
  const entry = statSync(dot, { throwIfNoEntry: false });
  // git does not take an empty folder of that name for a repository either. Containers mount such a folder over the
  // real one.
  if (entry?.isDirectory() && readdirSync(dot).length > 0)
    return { kind: 'found', root, dot, gitDirectory: realpathSync(dot) };
  if (entry?.isFile()) return { kind: 'found', root, dot, gitDirectory: gitFileTarget(dot) };
  // A broken link.
  if (!entry && lstatSync(dot, { throwIfNoEntry: false })) return { kind: 'found', root, dot, gitDirectory: null };
  const isGitDirectory = ['HEAD', 'objects', 'refs'].every((name) => existsSync(join(root, name)));
  return isGitDirectory ? { kind: 'bare', path: root } : null;
}

/** Resolves the `.git` file of a linked worktree or a submodule. */
function gitFileTarget(dot: string): string | null {
  const path = /^gitdir: (?<path>.+)$/m.exec(readFileSync(dot, 'utf8'))?.groups?.path;
  if (!path) return null;
  const target = resolve(dirname(dot), path.trim());
  return existsSync(target) ? realpathSync(target) : null;
}

/** Returns the directory that a worktree's own directory shares with the others. */
export function commonOf(gitDirectory: string): string {
  try {
    return resolve(gitDirectory, readFileSync(join(gitDirectory, 'commondir'), 'utf8').trim());
  } catch {
    return gitDirectory;
  }
}
