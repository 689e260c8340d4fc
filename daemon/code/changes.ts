/** Lists the files that differ between two code snapshots. */
import { TrainstashError } from '../../protocol/errors.ts';
import { GitError, git, requireObjectId } from './git.ts';
import { safeShadow } from './shadow.ts';

const STATUSES = { A: 'added', D: 'removed' } as const;

export interface CodeChange {
  path: string;
  status: 'added' | 'removed' | 'changed';
}

export interface CodeHunks extends CodeChange {
  added: number;
  removed: number;
  /** Hunks in the form of `diff -u`, from the first `@@` on. Null: the file is not text, or there is too much. */
  hunks: string | null;
}

/**
 * Lists the differing files. Empty also where the snapshots cannot be read: their ids already tell that they differ.
 */
export async function codeChanges(store: string, from: string, to: string): Promise<CodeChange[]> {
  if (from === to) return [];
  try {
    for (const tree of [from, to]) requireObjectId(tree);
    return changesOf(await git(['diff-tree', '-r', '-z', '--name-status', '--no-renames', from, to], optionsOf(store)));
  } catch (error) {
    if (error instanceof GitError) return [];
    throw error;
  }
}

/** Lists the files that git tracks in that worktree; null where git cannot tell. */
export async function trackedFiles(root: string): Promise<Set<string> | null> {
  try {
    return new Set((await git(['ls-files', '-z'], { cwd: root })).split('\0').filter(Boolean));
  } catch (error) {
    if (error instanceof GitError) return null;
    throw error;
  }
}

/**
 * Lists the differing files with their lines, as long as these take at most `limit` characters of JSON in total.
 * Rejects with `GitError`.
 */
export async function codeHunks(store: string, from: string, to: string, limit: number): Promise<CodeHunks[]> {
  if (from === to) return [];
  for (const tree of [from, to]) requireObjectId(tree);
  const run = (...format: string[]) =>
    git(['diff-tree', '-r', '--no-renames', '--no-ext-diff', '--no-textconv', ...format, from, to], optionsOf(store));
  const [names, text] = await Promise.all([run('-z', '--name-status'), run('-p', '--no-color', '--full-index')]);
  // One patch for each file, in the same order. No line of a patch can start like this, since its first character is a
  // mark.
  const patches = `\n${text}`.split('\ndiff --git ').slice(1);
  let left = limit;
  return changesOf(names).map((change, i) => {
    const patch = patches[i] ?? '';
    const start = patch.indexOf('\n@@ ');
    const lines = start < 0 ? [] : patch.slice(start + 1).split('\n');
    const count = (mark: string) => lines.filter((line) => line.startsWith(mark)).length;
    const hunks = lines.join('\n').replace(/\n$/, '');
    const size = JSON.stringify(hunks).length;
    const fits = size <= left && !/^Binary files /m.test(patch.slice(0, start < 0 ? undefined : start));
    if (fits) left -= size;
    return { ...change, added: count('+'), removed: count('-'), hunks: fits ? hunks : null };
  });
}

/** Reads a file of a snapshot. Rejects with `notFound`. */
export async function codeFile(store: string, code: string, path: string): Promise<Buffer> {
  try {
    requireObjectId(code);
    // One character for each byte: the file may not be text.
    const text = await git(['cat-file', 'blob', `${code}:${path}`], { ...optionsOf(store), encoding: 'latin1' });
    return Buffer.from(text, 'latin1');
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    throw new TrainstashError('notFound', `${path} is not in that code snapshot.`, { what: 'file', query: path });
  }
}

function changesOf(output: string): CodeChange[] {
  const words = output.split('\0').filter(Boolean);
  return words.flatMap((status, i) =>
    i % 2 === 0
      ? [{ path: words[i + 1]!, status: STATUSES[status as keyof typeof STATUSES] ?? ('changed' as const) }]
      : [],
  );
}

function optionsOf(store: string) {
  return { cwd: store, env: { GIT_DIR: safeShadow(store) } };
}
