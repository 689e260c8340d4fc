/** Runs git; no other file starts it. `repository.ts` interprets failures. */
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
  /** `latin1`: one character for each byte, for names that need not be UTF-8. */
  encoding?: 'utf8' | 'latin1';
  timeoutMs?: number;
}

/**
 * Way that git ended: its exit code, or the reason why there is none. `invalid`: git was not started with such an
 * argument.
 */
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
  /** Text that git wrote to standard error; empty when it wrote nothing. */
  readonly stderr: string;

  constructor(end: GitEnd, said: string, args: readonly string[]) {
    super(said || `git ${args.join(' ')} ended with ${end}`);
    this.end = end;
    this.stderr = said;
  }
}

/**
 * Runs git without any setting of the user that could start programs or change files: no hooks, no fsmonitor, no pager,
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
      // Own process group, so that everything that a wrapper around git has started can be ended.
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
      // A process that left the group may hold the pipes open: do not wait for it.
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
      // Node reports ENOENT for a missing folder, too.
      if (code === 'ENOENT') settle(existsSync(options.cwd) ? 'notFound' : 'folderGone');
      else settle('notRunnable');
    });
    child.once('close', (code) => settle(code ?? 'killed'));
    // git may end before it has read everything; its exit code tells the cause.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

export function isObjectId(name: string): boolean {
  return v.is(objectIdSchema, name);
}

/**
 * Throws for a text that is not an object name: git would take a word with a dash for an option, and some options write
 * files.
 */
export function requireObjectId(name: string): void {
  if (!isObjectId(name)) throw new GitError('invalid', `${JSON.stringify(name)} is not an object name`, []);
}

function endGroup(child: ChildProcess): void {
  try {
    if (process.platform === 'win32') child.kill('SIGKILL');
    else process.kill(-child.pid!, 'SIGKILL');
  } catch {
    // It has ended already.
  }
}

/** git's variables that name its configuration and its programs. */
const CONFIGURATION = /^GIT_(CONFIG_(GLOBAL|SYSTEM|NOSYSTEM|COUNT|KEY_\d+|VALUE_\d+)|EXEC_PATH)$/;

/**
 * Makes git's environment. Of git's own variables it keeps only those for configuration: in containers they often set
 * `safe.directory`. Others (GIT_DIR above all) would make git answer for another repository.
 */
function gitEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] =>
      entry[1] !== undefined && (!entry[0].startsWith('GIT_') || CONFIGURATION.test(entry[0])),
  );
  return { ...Object.fromEntries(inherited), GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C', ...extra };
}
