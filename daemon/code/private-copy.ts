/**
 * Makes a private copy of a worktree as it was: a clone of its own that shares the user's objects, with the files of a snapshot.
 * Nothing enters the user's repository, and `git worktree list` does not show it.
 */
import { existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Pending } from '../../base/pending.ts';
import { GitError, git, requireObjectId } from './git.ts';
import { checkOutFiles, linkIgnoredEntries } from './snapshot.ts';

/**
 * Makes the copy at `target`, or brings an existing one back to the snapshot's files. Ignored top-level entries of the project
 * (`data`, `.venv`) are links to today's.
 *
 * @param tree Snapshot in the shadow repository.
 * @param commit Commit that the worktree was at; null, or one that is gone: the copy has no history.
 */
export async function privateCopy(
  { root, store }: { root: string; store: string },
  { tree, commit }: { tree: string; commit: string | null },
  target: string,
): Promise<void> {
  requireObjectId(tree);
  if (existsSync(target)) {
    await checkOutFiles(store, tree, target);
    return;
  }
  const pending = new Pending(store, target);
  const made = pending.path;
  try {
    mkdirSync(made, { recursive: true });
    await git(['init', '-q', '.'], { cwd: made, env: QUIET });
    const isThere = commit !== null && (await shareObjects(root, made, commit));
    await checkOutFiles(store, tree, made);
    const links = await linkIgnoredEntries(root, made);
    mkdirSync(join(made, '.git/info'), { recursive: true });
    // A pattern such as `data/` does not match a link.
    writeFileSync(join(made, '.git/info/exclude'), links.map((name) => `/${name}\n`).join(''));
    // The index of that commit: what differed then differs here.
    if (isThere) await git(['reset', '-q'], { cwd: made, env: QUIET });
    renameSync(made, target);
  } finally {
    pending.close();
  }
}

const QUIET = { GIT_CONFIG_GLOBAL: '/dev/null', GIT_CONFIG_NOSYSTEM: '1', GIT_TEMPLATE_DIR: '' };

/** Lets the copy read the user's objects, and points its HEAD to the commit. Returns false if that is gone. */
async function shareObjects(root: string, made: string, commit: string): Promise<boolean> {
  requireObjectId(commit);
  try {
    const objects = (await git(['rev-parse', '--path-format=absolute', '--git-path', 'objects'], { cwd: root })).trim();
    mkdirSync(join(made, '.git/objects/info'), { recursive: true });
    writeFileSync(join(made, '.git/objects/info/alternates'), `${objects}\n`);
    await git(['update-ref', '--no-deref', 'HEAD', commit], { cwd: made, env: QUIET });
    return true;
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return false;
  }
}
