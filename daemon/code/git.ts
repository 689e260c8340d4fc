/** Runs git: the only place that starts it. `repository.ts` says what a failure means. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import * as v from 'valibot';
import { objectIdSchema } from '../../protocol/session.ts';

const MAX_OUTPUT_BYTES = 256 << 20;
/** Long enough for a status of a large repository on a slow disk. */
const TIMEOUT_MS = 60_000;

export interface GitOptions {
  cwd: string;
  env?: Record<string, string>;
  input?: string | Buffer;
  /** `latin1`: one character a byte, for names that need not be UTF-8. */
  encoding?: 'utf8' | 'latin1';
  timeoutMs?: number;
}

/** How git ended: its exit code, or what kept it from having one. `invalid`: it was not even started with such a word. */
export type GitEnd =
  | number
  | 'notFound'
  | 'notRunnable'
  | 'folderGone'
  | 'timedOut'
  | 'killed'
  | 'tooMuchOutput'
  | 'invalid';

export class GitError extends Error {
  readonly end: GitEnd;
  /** The words that git wrote to its standard error; empty when it said nothing. */
  readonly said: string;

  constructor(end: GitEnd, said: string, args: readonly string[]) {
    super(said || `git ${args.join(' ')} ended with ${end}`);
    this.end = end;
    this.said = said;
  }
}

/**
 * Runs git without anything of the user's that could start programs or change files: no hooks, no fsmonitor, no pager,
 * no prompts, no optional locks (so that `status` never writes the index). Rejects with `GitError`.
 */
export function git(args: readonly string[], options: GitOptions): Promise<string> {
  const safe = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null', '-c', 'gc.auto=0', ...args];
  return new Promise((resolve, reject) => {
    const child = spawn('git', safe, {
      cwd: options.cwd,
      env: gitEnvironment(options.env),
      stdio: ['pipe', 'pipe', 'pipe'],
      windowsHide: true,
      // A group of its own, to end whatever a wrapper around git has started.
      detached: process.platform !== 'win32',
    });
    const out: Buffer[] = [];
    const said: Buffer[] = [];
    let bytes = 0;
    const settle = (end: GitEnd) => {
      clearTimeout(timer);
      if (end === 0) resolve(Buffer.concat(out).toString(options.encoding ?? 'utf8'));
      else reject(new GitError(end, Buffer.concat(said).toString('utf8').trim(), args));
    };
    const giveUp = (end: GitEnd) => {
      endGroup(child);
      // Whoever left that group may hold the pipes for as long as it likes: nobody waits for them.
      for (const stream of child.stdio) stream?.destroy();
      child.unref();
      settle(end);
    };
    const timer = setTimeout(() => giveUp('timedOut'), options.timeoutMs ?? TIMEOUT_MS);
    child.stdout.on('data', (data: Buffer) => {
      bytes += data.length;
      if (bytes > MAX_OUTPUT_BYTES) giveUp('tooMuchOutput');
      else out.push(data);
    });
    child.stderr.on('data', (data: Buffer) => said.push(data));
    child.once('error', ({ code }: NodeJS.ErrnoException) => {
      // Node says ENOENT of a missing folder, too.
      if (code === 'ENOENT') settle(existsSync(options.cwd) ? 'notFound' : 'folderGone');
      else settle('notRunnable');
    });
    child.once('close', (code) => settle(code ?? 'killed'));
    // git may end before it has read everything; the exit code tells what is wrong.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

export function isObjectId(name: string): boolean {
  return v.is(objectIdSchema, name);
}

/** Throws for what is no name of an object: git would take a word with a dash for an option, and some of them write files. */
export function requireObjectId(name: string): void {
  if (!isObjectId(name)) throw new GitError('invalid', `${JSON.stringify(name)} is no name of an object`, []);
}

function endGroup(child: ChildProcess): void {
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // It has ended.
  }
}

/** Variables of git that say where its configuration and its programs are. */
const CONFIGURATION = /^GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH)$/;

/**
 * Of git's own variables only those that hold its configuration: in containers `safe.directory` is often given so. Others
 * (GIT_DIR above all) would make git answer for another repository than the one asked about.
 */
function gitEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && (!entry[0].startsWith('GIT_') || CONFIGURATION.test(entry[0])),
  );
  return { ...Object.fromEntries(inherited), GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C', ...extra };
}
