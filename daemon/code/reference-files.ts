/**
 * Reads HEAD and branches from git's own files, without starting git. Null wherever only git can tell: references in tables, symbolic
 * branches, a branch without a commit, a repository that is not where it was.
 */
import { closeSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openToRead } from '../../base/files.ts';
import type { Head } from './project.ts';
import type { GitDirectories } from './reflog.ts';

const BRANCH = /^refs\/heads\/(?!.*\.\.)[^\0\n\ufffd]+$/;
const ID = /^(?:[\da-f]{40}|[\da-f]{64})$/;

/** Reads HEAD of the worktree at `root`. */
export function headInFiles(root: string, { gitDirectory, common }: GitDirectories): Head | null {
  // With reftable HEAD's file names no branch. Without its folder or its link there, a worktree is gone.
  if (!existsSync(join(root, '.git'))) return null;
  const line = lineIn(join(gitDirectory, 'HEAD'));
  if (line === null) return null;
  if (ID.test(line)) return { branch: null, commit: line };
  const reference = /^ref: (?<name>refs\/heads\/.+)$/.exec(line)?.groups?.name;
  const commit = reference === undefined ? null : branchInFiles(common, reference);
  return commit === null ? null : { branch: reference!.slice('refs/heads/'.length), commit };
}

/** Reads the commit of a branch, by its full name. */
export function branchInFiles(common: string, reference: string): string | null {
  if (!BRANCH.test(reference) || existsSync(join(common, 'reftable'))) return null;
  // git packs a reference before it deletes its file, and deletes it in the pack first: the file counts, and is read first.
  const line = lineIn(join(common, reference));
  if (line !== null) return ID.test(line) ? line : null;
  return packed(textIn(join(common, 'packed-refs')) ?? '', reference);
}

function packed(text: string, reference: string): string | null {
  const end = text.indexOf(` ${reference}\n`);
  const id = text.slice(text.lastIndexOf('\n', end) + 1, Math.max(0, end));
  return ID.test(id) ? id : null;
}

/** Returns the only line of a file; null also for one that is being written. */
function lineIn(path: string): string | null {
  return /^(?<line>[^\n]+)\n$/.exec(textIn(path) ?? '')?.groups?.line ?? null;
}

/** Reads a file that is no link: an old git writes HEAD as one. */
function textIn(path: string): string | null {
  let file: number | null = null;
  try {
    file = openToRead(path);
    return readFileSync(file, 'utf8');
  } catch {
    return null;
  } finally {
    if (file !== null) closeSync(file);
  }
}
