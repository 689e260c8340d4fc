import { execFile } from 'node:child_process';
import * as v from 'valibot';
import { objectIdSchema } from '../../protocol/session.ts';

const MAX_OUTPUT_BYTES = 256 << 20;
const TIMEOUT_MS = 60_000;

export interface GitOptions {
  cwd: string;
  env?: Record<string, string>;
  input?: string | Buffer;
  /** `latin1`: one character a byte, for names that need not be UTF-8. */
  encoding?: 'utf8' | 'latin1';
}

/**
 * Runs git without anything of the user's that could start programs or change files: no hooks, no fsmonitor, no pager,
 * no prompts, no optional locks (so that `status` never writes the index). Rejects with `GitError`.
 */
export function git(args: readonly string[], options: GitOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const safe = ['-c', 'core.fsmonitor=false', '-c', 'core.hooksPath=/dev/null', '-c', 'gc.auto=0', ...args];
    const child = execFile(
      'git',
      safe,
      {
        cwd: options.cwd,
        env: gitEnvironment(options.env),
        maxBuffer: MAX_OUTPUT_BYTES,
        timeout: TIMEOUT_MS,
        encoding: options.encoding ?? 'utf8',
      },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else reject(new GitError(error.code as string | number, stderr.trim() || error.message));
      },
    );
    // git may end before it has read everything; the exit code tells what is wrong.
    child.stdin!.on('error', () => {});
    child.stdin!.end(options.input ?? '');
  });
}

export class GitError extends Error {
  /** Exit code, or `ENOENT` when there is no git. */
  readonly code: string | number;

  constructor(code: string | number, message: string) {
    super(message);
    this.code = code;
  }
}

/** Throws for what is no name of an object: git would take a word with a dash for an option, and some of them write files. */
export function requireObjectId(name: string): void {
  if (!v.is(objectIdSchema, name)) throw new GitError('invalid', `${JSON.stringify(name)} is no name of an object`);
}

/** The result, or null when git fails or there is none. */
export async function tryGit(args: readonly string[], options: GitOptions): Promise<string | null> {
  try {
    return (await git(args, options)).trim();
  } catch (error) {
    if (error instanceof GitError) return null;
    throw error;
  }
}

function gitEnvironment(extra: Record<string, string> = {}): Record<string, string> {
  const inherited = Object.entries(process.env).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && !entry[0].startsWith('GIT_'),
  );
  return { ...Object.fromEntries(inherited), GIT_OPTIONAL_LOCKS: '0', GIT_TERMINAL_PROMPT: '0', LC_ALL: 'C', ...extra };
}
