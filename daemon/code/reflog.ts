/** Reads git's log of a reference: from its files, or through git where references are in tables. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GitError, git } from './git.ts';

const MAX_ENTRIES = '1000';
const ZERO = /^0+$/;

export interface ReflogEntry {
  /** Null: this entry made the reference; undefined: git does not tell. */
  before: string | null | undefined;
  /** Null: this entry removed the reference, as in HEAD's log while its branch is renamed. */
  after: string | null;
  /** Time in seconds, by the clock of the writer. */
  at: number;
  subject: string;
  /** Complete text: two entries with the same text are one entry, or were written within the same second. */
  text: string;
}

/** Directories of a repository: the worktree's own, and the one that all worktrees share. */
export interface GitDirectories {
  gitDirectory: string;
  common: string;
}

/** Reads the entries, the oldest first; empty where git keeps no log of the reference. */
export async function reflogOf(directories: GitDirectories, ref: string): Promise<ReflogEntry[]> {
  if (existsSync(join(directories.common, 'reftable'))) return reflogFromGit(directories, ref);
  const path = reflogPath(directories, ref);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return [];
  }
  return text.split('\n').flatMap((line) => {
    const found =
      /^(?<before>[\da-f]{40,64}) (?<after>[\da-f]{40,64}) .*> (?<at>\d+) [+-]\d+(?:\t(?<subject>.*))?$/.exec(
        line,
      )?.groups;
    if (!found) return [];
    const { before, after, at, subject = '' } = found as Record<string, string>;
    return [{ before: idOrNull(before!), after: idOrNull(after!), at: Number(at), subject, text: line }];
  });
}

export function reflogPath({ gitDirectory, common }: GitDirectories, ref: string): string {
  return join(ref === 'HEAD' ? gitDirectory : common, 'logs', ref);
}

/** Parses an entry for a renamed branch, or one that was copied with its log, as git, libgit2 and JGit write it. */
export function renamedBy(subject: string): { copied: boolean; from: string; to: string } | null {
  const pattern = /^branch: (?<what>renamed|copied) (?:refs\/heads\/)?(?<from>\S+) to (?:refs\/heads\/)?(?<to>\S+)$/i;
  const found = pattern.exec(subject)?.groups;
  return found ? { copied: found.what!.toLowerCase() === 'copied', from: found.from!, to: found.to! } : null;
}

async function reflogFromGit({ gitDirectory }: GitDirectories, ref: string): Promise<ReflogEntry[]> {
  const words = ['--git-dir', gitDirectory, 'log', '-g', '-n', MAX_ENTRIES, '--date=unix'];
  let output: string;
  try {
    output = await git([...words, '--format=%H%x00%gd%x00%gn <%ge>%x00%gs', ref, '--'], { cwd: gitDirectory });
  } catch (error) {
    // There is no such reference, or it has no log.
    if (error instanceof GitError && typeof error.end === 'number') return [];
    throw error;
  }
  const lines = output.split('\n').filter(Boolean).reverse();
  return lines.map((line, i) => {
    const [after, selector, , subject] = line.split('\0') as [string, string, string, string];
    // The selector contains the reference's name, which a rename changes.
    const at = Number(/@\{(?<at>\d+)/.exec(selector)?.groups?.at ?? 0);
    const isFirst = /^(branch: Created from|commit \(initial\))/.test(subject);
    const before = i > 0 ? lines[i - 1]!.slice(0, lines[i - 1]!.indexOf('\0')) : isFirst ? null : undefined;
    return { before, after, at, subject, text: line.replace(selector, String(at)) };
  });
}

function idOrNull(id: string): string | null {
  return ZERO.test(id) ? null : id;
}
