/** What git remembers of branches: existence, tips, renames, how HEAD came here. Reads only. */
import { requireObjectId, tryGit } from './git.ts';

const REFLOG_ENTRIES = '100';

export async function localBranches(root: string): Promise<string[]> {
  const output = await tryGit(['for-each-ref', '--format=%(refname)', 'refs/heads'], { cwd: root });
  return (output ?? '').split('\n').flatMap((ref) => (ref ? [ref.slice('refs/heads/'.length)] : []));
}

/** The branch's commit; null when there is no such branch, or it is unborn. */
export async function tipOf(root: string, branch: string): Promise<string | null> {
  return (await tryGit(['rev-parse', '-q', '--verify', `refs/heads/${branch}^{commit}`], { cwd: root })) || null;
}

/** Earlier names of a branch, the newest first, as its own reflog tells. */
export async function earlierNames(root: string, branch: string): Promise<string[]> {
  const names: string[] = [];
  let name = branch;
  for (const { subject } of await reflog(root, `refs/heads/${branch}`)) {
    const renamed = /^Branch: renamed refs\/heads\/(?<from>.+) to refs\/heads\/(?<to>.+)$/.exec(subject)?.groups;
    if (renamed?.to !== name) continue;
    name = renamed!.from!;
    names.push(name);
  }
  return names;
}

/** Whether the branch of that name has, or once had, this commit: else it is another branch of the same name. */
export async function hasHad(root: string, branch: string, commit: string): Promise<boolean> {
  requireObjectId(commit);
  const isAncestor = await tryGit(['merge-base', '--is-ancestor', commit, `refs/heads/${branch}`], { cwd: root });
  if (isAncestor !== null) return true;
  return (await reflog(root, `refs/heads/${branch}`)).some((entry) => entry.commit === commit);
}

/**
 * Whether HEAD went from one branch to the other without moving to another commit: `to` was made from where `from` was.
 * Null when the reflog does not tell.
 */
export async function cameStraight(root: string, from: string, to: string): Promise<boolean | null> {
  const entries = await reflog(root, 'HEAD');
  let name = to;
  for (const [i, { commit, subject }] of entries.entries()) {
    const renamed = /^Branch: renamed refs\/heads\/(?<from>.+) to refs\/heads\/(?<to>.+)$/.exec(subject)?.groups;
    if (renamed?.to === name) name = renamed.from!;
    const move = /^checkout: moving from (?<from>.+) to (?<to>.+)$/.exec(subject)?.groups;
    if (!move) continue;
    if (move.to !== name) return null;
    if (entries[i + 1] && entries[i + 1]!.commit !== commit) return false;
    if (move.from === from) return true;
    name = move.from!;
  }
  return null;
}

/** The newest entry first. */
async function reflog(root: string, ref: string): Promise<{ commit: string; subject: string }[]> {
  const output = await tryGit(['log', '-g', '-n', REFLOG_ENTRIES, '--format=%H %gs', ref, '--'], { cwd: root });
  return (output ?? '')
    .split('\n')
    .filter(Boolean)
    .map((line) => ({ commit: line.slice(0, line.indexOf(' ')), subject: line.slice(line.indexOf(' ') + 1) }));
}
