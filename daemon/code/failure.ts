/**
 * Finds out why git does not work in a folder. git has one exit code for all its failures, and its texts change. So the
 * cause is determined here; git's text is quoted, never matched.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ErrorData, TrainstashError } from '../../protocol/errors.ts';
import { GitError, git } from './git.ts';
import { commonOf, locateRepository } from './locate.ts';
import { currentUser } from './user.ts';

/** Timeout of a look. `git rev-parse` answers in milliseconds, and a user waits for the command. */
export const LOOK_MS = 15_000;
/** First version that does not take optional locks when told so, so that looking never writes the index. */
const OLDEST_GIT = [2, 15] as const;
/** First version that supports repositories with references in tables. */
const OLDEST_FOR_REFTABLE = [2, 45] as const;
const MAX_QUOTED = 400;

export interface GitFailure {
  reason: ErrorData['gitUnusable']['reason'];
  /** Folder or file with the problem. */
  path: string;
  /** Text that git wrote; empty where git wrote nothing. */
  said: string;
  /** Problem as a sentence for people, without its full stop. */
  what: string;
  /** Remedy: sentences with their full stops. */
  next: string;
}

export function gitUnusable({ reason, path, said, what, next }: GitFailure): TrainstashError<'gitUnusable'> {
  const line = said.replaceAll(/\s+/g, ' ');
  const quoted = line && ` (git: “${line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line}”)`;
  const text = `${what}${quoted}. Nothing was changed, and no second store was created. ${next}`;
  return new TrainstashError('gitUnusable', text, { path, reason, said });
}

/** Finds the cause. `error` is null where git answered, but for another repository than the one that was found. */
export async function explain(folder: string, error: GitError | null): Promise<GitFailure> {
  const said = error?.stderr ?? '';
  if (error?.end === 'notFound' || error?.end === 'notRunnable') return noGit(folder, error);
  if (error?.end === 'timedOut') return hangs(folder, said);
  const located = locateRepository(folder);
  if (located.kind === 'unreadable') return unreadable(located.path, said);
  if (located.kind === 'bare') return bare(located.path, said);
  if (located.kind === 'none') return damaged(folder, said);
  const { root, dot, gitDirectory } = located;
  if (gitDirectory === null) return pointsNowhere(dot, said);
  const refused = firstUnreadable(gitDirectory);
  if (refused) return unreadable(refused, said);
  const owner = [root, dot, gitDirectory].map((path) => statSync(path).uid).find((uid) => !isOwn(uid));
  if (error && owner !== undefined) return foreign(root, owner, said);
  const tooOld = await tooOldGit(folder, existsSync(join(commonOf(gitDirectory), 'reftable')));
  if (tooOld) return { ...tooOld, said };
  const isBare = await git(['rev-parse', '--is-bare-repository'], { cwd: root, timeoutMs: LOOK_MS }).catch(() => '');
  return isBare.trim() === 'true' ? bare(dot, said) : damaged(dot, said);
}

type Version = readonly [major: number, minor: number];
let installed: Version | null = null;

/** Returns the version as the git on the PATH writes it; null when there is no working git. */
export async function gitVersion(): Promise<string | null> {
  const text = await git(['--version'], { cwd: process.cwd(), timeoutMs: LOOK_MS }).catch(() => null);
  return text?.replace(/^git version /, '').trim() ?? null;
}

/** Reads the version; null when git does not tell. Rejects with `GitError`. */
async function versionNow(): Promise<Version | null> {
  const text = await git(['--version'], { cwd: process.cwd(), timeoutMs: LOOK_MS });
  const found = /(?<major>\d+)\.(?<minor>\d+)/.exec(text)?.groups;
  return found ? [Number(found.major), Number(found.minor)] : null;
}

/** Checks git's version; null when git is there and new enough. The answer is cached once it is positive. */
export async function tooOldGit(folder: string, usesTables = false): Promise<GitFailure | null> {
  const oldest = usesTables ? OLDEST_FOR_REFTABLE : OLDEST_GIT;
  const isEnough = ([major, minor]: Version) => major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
  if (installed && isEnough(installed)) return null;
  try {
    installed = await versionNow();
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return error.end === 'timedOut' ? hangs(folder, error.stderr) : noGit(folder, error);
  }
  if (installed === null || isEnough(installed)) return null;
  const why = usesTables ? `${folder} keeps its references in tables (reftable), for which` : `for ${folder}`;
  return {
    reason: 'tooOld',
    path: folder,
    said: '',
    what: `git ${installed.join('.')} is too old: ${why} ${oldest.join('.')} or newer is needed`,
    next: 'Install a newer git. If it is installed in another place than before, run `trainstash daemon stop` and try again.',
  };
}

function noGit(folder: string, { end, stderr }: GitError): GitFailure {
  const problem = end === 'notFound' ? 'finds no program `git` on its PATH' : 'cannot run the program `git`';
  return {
    reason: 'missing',
    path: folder,
    said: stderr,
    what: `${folder} is in a git repository, but Trainstash's daemon ${problem}`,
    next: 'Install git. If it is installed, the daemon was started without it: run `trainstash daemon stop` and try again.',
  };
}

function hangs(folder: string, said: string): GitFailure {
  return {
    reason: 'hangs',
    path: folder,
    said,
    what: `git does not answer in ${folder}, or was killed before it did`,
    next: 'Run `git status` there: a disk may not answer, or a wrapper around git may be waiting. Fix that first.',
  };
}

function unreadable(path: string, said: string): GitFailure {
  return {
    reason: 'permission',
    path,
    said,
    what: `${currentUser()} cannot read ${path}, so git cannot read its repository`,
    next: 'Ask its owner for access (chmod, chown), or work as that user.',
  };
}

function bare(path: string, said: string): GitFailure {
  const isDot = basename(path) === '.git';
  return {
    reason: 'bare',
    path,
    said,
    what: isDot
      ? `${path} is git's own folder and has no files to train on`
      : `${path} is a bare repository and has no files to train on`,
    next: 'Go to a folder that has the files: a clone, or a worktree (`git worktree add`).',
  };
}

function pointsNowhere(dot: string, said: string): GitFailure {
  return {
    reason: 'pointsNowhere',
    path: dot,
    said,
    what: `${dot} names another folder as the repository, and that folder does not exist`,
    next: 'It may have been moved, or its disk may not be mounted. `git worktree repair` in the repository repairs a worktree; `git submodule update --init` in the parent repairs a submodule.',
  };
}

function foreign(root: string, owner: number, said: string): GitFailure {
  return {
    reason: 'ownership',
    path: root,
    said,
    what: `${root} belongs to user ${owner}, and you are ${currentUser()}: git does not use another user's repository until you say that you trust it`,
    next: `If you trust it: \`git config --global --add safe.directory ${root}\` (for a container: in its image, or with the variables GIT_CONFIG_COUNT, GIT_CONFIG_KEY_0 and GIT_CONFIG_VALUE_0). Trainstash never changes git's configuration.`,
  };
}

function damaged(path: string, said: string): GitFailure {
  return {
    reason: 'damaged',
    path,
    said,
    what: `git cannot read the repository ${path}`,
    next: '`git status` and `git fsck` there tell more. The store is untouched and can be used again once git works.',
  };
}

/** Finds the first part of a repository that this user cannot read. */
function firstUnreadable(gitDirectory: string): string | null {
  const common = commonOf(gitDirectory);
  const folders = [gitDirectory, common, join(common, 'objects'), join(common, 'refs')];
  const files = [join(gitDirectory, 'HEAD'), join(gitDirectory, 'index'), join(common, 'config')];
  const entered = folders.find((path) => isRefused(path, constants.R_OK | constants.X_OK));
  return entered ?? files.find((path) => isRefused(path, constants.R_OK)) ?? null;
}

function isRefused(path: string, mode: number): boolean {
  try {
    accessSync(path, mode);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EACCES';
  }
}

/**
 * Tells whether git considers this user an owner: under sudo the repositories of the calling user count as one's own.
 */
function isOwn(uid: number): boolean {
  const own = process.geteuid?.();
  return own === undefined || uid === own || (own === 0 && uid === Number(process.env.SUDO_UID ?? Number.NaN));
}
