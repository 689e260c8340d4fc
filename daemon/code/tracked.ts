/**
 * Reads what git tracks: names, one character for each byte, and the content of a file. Throws `gitUnusable` where git
 * cannot tell.
 */
import { explain, gitUnusable } from './failure.ts';
import { GitError, git } from './git.ts';
import { askGit } from './repository.ts';

const MAX_CACHED = 50;
/** Cache of texts by their blobs, which never change. */
const textCache = new Map<string, string>();

export async function indexedFiles(root: string): Promise<string[]> {
  const output = await askGit(['ls-files', '-z', '--full-name'], { cwd: root, encoding: 'latin1' });
  return namesIn(output ?? '');
}

/** Lists the files of `revision`: a branch's full name or a commit's id. Empty when it no longer exists. */
export async function filesOfCommit(root: string, revision: string): Promise<string[]> {
  return namesIn((await listTree(root, revision, ['-r', '--name-only'])) ?? '');
}

/** Reads a file in the top folder of a commit: null when the commit has none, undefined when it, or the file's content, is gone. */
export async function fileOfCommit(root: string, revision: string, name: string): Promise<string | null | undefined> {
  const line = await listTree(root, revision, [], name);
  if (line === null) return undefined;
  const blob = /^\d+ blob (?<id>[\da-f]+)\t/.exec(line)?.groups?.id;
  if (!blob) return null;
  const text = textCache.get(blob) ?? (await askGit(['cat-file', 'blob', blob], { cwd: root }));
  if (textCache.size > MAX_CACHED) textCache.clear();
  if (text !== null) textCache.set(blob, text);
  return text ?? undefined;
}

/** Lists a tree; null when there is no such commit. A commit whose files git cannot list is damaged, not empty. */
async function listTree(root: string, revision: string, options: string[], name?: string): Promise<string | null> {
  const words = ['ls-tree', '-z', '--full-tree', ...options, revision, ...(name === undefined ? [] : ['--', name])];
  try {
    return await git(words, { cwd: root, encoding: 'latin1' });
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    // A branch exists if its name does, a commit if its object does.
    const object = revision.startsWith('refs/') ? revision : `${revision}^{commit}`;
    const isThere = await askGit(['rev-parse', '-q', '--verify', object], { cwd: root });
    if (isThere === null) return null;
    throw gitUnusable(await explain(root, error));
  }
}

function namesIn(output: string): string[] {
  return output.split('\0').filter(Boolean);
}
