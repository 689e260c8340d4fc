/**
 * Why git does not work in a folder. git has one exit code for all its failures, and its words change: so what is wrong
 * is looked at here, and git's words are quoted, never matched.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type ErrorData, TrainstashError } from '../../protocol/errors.ts';
import { GitError, git } from './git.ts';
import { commonOf, locateRepository } from './locate.ts';
import { me } from './user.ts';

/** `git rev-parse` answers in milliseconds, and somebody sits before the command line that waits for it. */
export const LOOK_MS = 15_000;
/** The first one that leaves optional locks alone when it is told to, so that looking writes no index. */
const OLDEST_GIT = [2, 15] as const;
/** The first one that knows repositories whose references are in tables. */
const OLDEST_FOR_REFTABLE = [2, 45] as const;
const MAX_QUOTED = 400;

export interface GitFailure {
  reason: ErrorData['gitUnusable']['reason'];
  /** The folder or file that it is about. */
  path: string;
  /** In git's own words; empty where git said nothing. */
  said: string;
  /** A sentence for people, without its full stop. */
  what: string;
  /** The way out: sentences with their full stops. */
  next: string;
}

export function gitUnusable({ reason, path, said, what, next }: GitFailure): TrainstashError<'gitUnusable'> {
  const line = said.replaceAll(/\s+/g, ' ');
  const quoted = line && ` (git: “${line.length > MAX_QUOTED ? `${line.slice(0, MAX_QUOTED)}…` : line}”)`;
  const text = `${what}${quoted}. Nothing was changed, and no second store was made. ${next}`;
  return new TrainstashError('gitUnusable', text, { path, reason, said });
}

/** `error` is null where git gave an answer, but of another repository than the one that was found. */
export async function explain(folder: string, error: GitError | null): Promise<GitFailure> {
  const said = error?.said ?? '';
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

/** In the words of the git that is on the PATH; null when there is none that works. */
export async function gitVersion(): Promise<string | null> {
  const text = await git(['--version'], { cwd: process.cwd(), timeoutMs: LOOK_MS }).catch(() => null);
  return text?.replace(/^git version /, '').trim() ?? null;
}

/** Null when git does not tell. Rejects with `GitError`. */
async function versionNow(): Promise<Version | null> {
  const text = await git(['--version'], { cwd: process.cwd(), timeoutMs: LOOK_MS });
  const found = /(?<major>\d+)\.(?<minor>\d+)/.exec(text)?.groups;
  return found ? [Number(found.major), Number(found.minor)] : null;
}

/** Null when git is there and new enough; it is asked until it was. */
export async function tooOldGit(folder: string, usesTables = false): Promise<GitFailure | null> {
  const oldest = usesTables ? OLDEST_FOR_REFTABLE : OLDEST_GIT;
  const isEnough = ([major, minor]: Version) => major > oldest[0] || (major === oldest[0] && minor >= oldest[1]);
  if (installed && isEnough(installed)) return null;
  try {
    installed = await versionNow();
  } catch (error) {
    if (!(error instanceof GitError)) throw error;
    return error.end === 'timedOut' ? hangs(folder, error.said) : noGit(folder, error);
  }
  if (installed === null || isEnough(installed)) return null;
  const why = usesTables ? `${folder} keeps its references in tables (reftable), for which` : `for ${folder}`;
  return {
    reason: 'tooOld',
    path: folder,
    said: '',
    what: `git ${installed.join('.')} is too old: ${why} ${oldest.join('.')} or newer is needed`,
    next: 'Install a newer git. If it is in another place than before: `trainstash daemon stop`, and try again.',
  };
}

function noGit(folder: string, { end, said }: GitError): GitFailure {
  const problem = end === 'notFound' ? 'finds no program `git` on its PATH' : 'cannot run the program `git`';
  return {
    reason: 'missing',
    path: folder,
    said,
    what: `${folder} is in a git repository, and Trainstash's background process ${problem}`,
    next: 'Install git. If it is there, that process was started without it: `trainstash daemon stop`, and try again.',
  };
}

function hangs(folder: string, said: string): GitFailure {
  return {
    reason: 'hangs',
    path: folder,
    said,
    what: `git does not answer in ${folder}, or was ended before it did`,
    next: 'Try `git status` there: a disk that does not answer, or a program around git that waits, has to be seen to first.',
  };
}

function unreadable(path: string, said: string): GitFailure {
  return {
    reason: 'permission',
    path,
    said,
    what: `${me()} may not read ${path}, so git cannot be asked about its repository`,
    next: 'Its owner can give you the right (chmod, chown), or you work as that user.',
  };
}

function bare(path: string, said: string): GitFailure {
  const isDot = basename(path) === '.git';
  return {
    reason: 'bare',
    path,
    said,
    what: isDot
      ? `${path} is git's own folder, and no files to train on are in it`
      : `${path} is a bare repository: no files to train on are in it`,
    next: 'Go to a folder that has the files: a clone, or a worktree (`git worktree add`).',
  };
}

function pointsNowhere(dot: string, said: string): GitFailure {
  return {
    reason: 'pointsNowhere',
    path: dot,
    said,
    what: `${dot} says that the repository is in another folder, and that folder is not there`,
    next: 'It may have been moved, or its disk is not mounted. `git worktree repair`, in the repository itself, mends a worktree; `git submodule update --init`, above it, a submodule.',
  };
}

function foreign(root: string, owner: number, said: string): GitFailure {
  return {
    reason: 'ownership',
    path: root,
    said,
    what: `${root} belongs to user ${owner}, and you are ${me()}: git does not use the repository of somebody else before you say that you trust it`,
    next: `If you do: \`git config --global --add safe.directory ${root}\` (in a container: in its image, or by the variables GIT_CONFIG_COUNT, GIT_CONFIG_KEY_0 and GIT_CONFIG_VALUE_0). Trainstash never changes git's configuration.`,
  };
}

function damaged(path: string, said: string): GitFailure {
  return {
    reason: 'damaged',
    path,
    said,
    what: `git cannot read the repository ${path}`,
    next: '`git status` and `git fsck` there say more. The store is not touched by that, and is there again as soon as git works.',
  };
}

/** The first part of a repository that this user may not read. */
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

/** As git counts it: under sudo the repositories of the user who called it are one's own. */
function isOwn(uid: number): boolean {
  const own = process.geteuid?.();
  return own === undefined || uid === own || (own === 0 && uid === Number(process.env.SUDO_UID ?? Number.NaN));
}
