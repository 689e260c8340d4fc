/** Reads what git records about branches: names, commits, and the way HEAD came here. Changes nothing. */
import { isObjectId } from './git.ts';
import { branchInFiles } from './reference-files.ts';
import { type GitDirectories, reflogOf, renamedBy } from './reflog.ts';
import { askGit } from './repository.ts';

/** Reads a branch's commit; null when there is no such branch, or it is unborn. */
export async function tipOf(root: string, { common }: GitDirectories, branch: string): Promise<string | null> {
  const reference = `refs/heads/${branch}`;
  const read = branchInFiles(common, reference);
  return read ?? askGit(['rev-parse', '-q', '--verify', `${reference}^{commit}`], { cwd: root });
}

/**
 * Tells whether the branch of that name has, or once had, this commit. If not, it is another branch of the same name.
 */
export async function hasHadCommit(root: string, directories: GitDirectories, branch: string, commit: string) {
  if (!isObjectId(commit)) return false;
  if (await isAncestor(root, commit, `refs/heads/${branch}`)) return true;
  const entries = await reflogOf(directories, `refs/heads/${branch}`);
  return entries.some(({ before, after }) => before === commit || after === commit);
}

/** Tells whether one commit is an ancestor of another; false also when one of them no longer exists. */
export async function isAncestor(root: string, commit: string, of: string): Promise<boolean> {
  const exists = async (revision: string) =>
    (await askGit(['rev-parse', '-q', '--verify', `${revision}^{commit}`], { cwd: root })) !== null;
  // git fails for a missing commit as it does for a damaged repository, so existence is checked first.
  if (!(await exists(commit)) || !(await exists(of))) return false;
  return (await askGit(['merge-base', '--is-ancestor', commit, of], { cwd: root })) !== null;
}

/**
 * Tells whether HEAD went from one branch to the other without moving to another commit, so that `to` was created at
 * the position of the other. `from` lists all names that the other has had since. Null when the reflog does not tell.
 */
export async function switchedWithoutMoving(
  directories: GitDirectories,
  from: readonly string[],
  to: string,
): Promise<boolean | null> {
  const entries = (await reflogOf(directories, 'HEAD')).reverse();
  let name = to;
  let moved = false;
  for (const { before, after, subject } of entries) {
    if (moved && from.includes(name)) return true;
    const renamed = renamedBy(subject);
    if (renamed && !renamed.copied && renamed.to === name) name = renamed.from;
    const move = /^checkout: moving from (?<from>.+) to (?<to>.+)$/.exec(subject)?.groups;
    if (!move) continue;
    if (move.to !== name) return null;
    if (before && before !== after) return false;
    name = move.from!;
    moved = true;
  }
  return moved && from.includes(name) ? true : null;
}
