/**
 * Finds the repository of a folder. Only a folder without any `.git` has none; everything else at which git fails is a
 * failure, since a folder taken for one without git would get a second store.
 */
import { realpathSync } from 'node:fs';
import { resolve } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import { explain, type GitFailure, gitUnusable, LOOK_MS, tooOldGit } from './failure.ts';
import { GitError, type GitOptions, git } from './git.ts';
import { locateRepository } from './locate.ts';

export type Repository =
  | { kind: 'none' }
  | { kind: 'failed'; failure: GitFailure }
  | {
      kind: 'repository';
      /** Root of the worktree. */
      root: string;
      /** Worktree's own directory, which contains HEAD. */
      gitDirectory: string;
      /** Directory that all worktrees share. */
      common: string;
    };

export async function findRepository(folder: string): Promise<Repository> {
  const located = locateRepository(folder);
  if (located.kind === 'none') return located;
  const failed = (failure: GitFailure): Repository => ({ kind: 'failed', failure });
  if (located.kind !== 'found') return failed(await explain(folder, null));
  const tooOld = await tooOldGit(located.root);
  if (tooOld) return failed(tooOld);
  try {
    const words = ['rev-parse', '--show-toplevel', '--absolute-git-dir', '--git-common-dir'];
    const [root, own, common] = (await git(words, { cwd: folder, timeoutMs: LOOK_MS })).split('\n');
    const gitDirectory = realpathSync(own!);
    // git skips a broken repository and takes the one above it, which has other runs and files.
    if (gitDirectory !== located.gitDirectory) return failed(await explain(folder, null));
    return {
      kind: 'repository',
      root: realpathSync(root!),
      gitDirectory,
      common: realpathSync(resolve(folder, common!)),
    };
  } catch (error) {
    if (error instanceof GitError) return failed(await explain(folder, error));
    throw error;
  }
}

/**
 * Returns git's answer in a repository, without the last newline; null when it answers no, which is exit code 1.
 * Rejects with `gitUnusable` for everything else, and with `notFound` when the folder is gone.
 */
export async function askGit(args: readonly string[], options: GitOptions): Promise<string | null> {
  try {
    return (await git(args, options)).replace(/\n$/, '');
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    if (error.end === 1) return null;
    if (error.end === 'folderGone')
      throw new TrainstashError('notFound', `The folder ${options.cwd} no longer exists.`, {
        what: 'project',
        query: options.cwd,
      });
    throw gitUnusable(await explain(options.cwd, error));
  }
}
