/** Runs a command in a terminal of its own, so that progress bars, colours and debuggers work as usual. */
import { spawn as spawnChild } from 'node:child_process';
import { createRequire } from 'node:module';
import { signalName } from '../session/ending.ts';

export interface CommandExit {
  /** Null if a signal ended it. */
  code: number | null;
  signal: string | null;
}

export interface RunningCommand {
  readonly pid: number;
  /** False if no terminal is available: the command then writes to a pipe. */
  readonly isTerminal: boolean;
  readonly exited: Promise<CommandExit>;
  write(text: string): void;
  resize(columns: number, rows: number): void;
  /** Signals the command and all processes that it started and that are still in its group. */
  signal(name: NodeJS.Signals): void;
}

export interface CommandSetup {
  words: readonly [string, ...string[]];
  cwd: string;
  environment: Record<string, string>;
  data(bytes: Buffer): void;
}

const COLUMNS = 120;
const ROWS = 40;
/** Rejects if the program cannot be started. */
export async function startCommand(setup: CommandSetup): Promise<RunningCommand> {
  const pty = loadPty();
  return pty ? inTerminal(pty, setup) : withPipes(setup);
}

type Pty = typeof import('@lydell/node-pty');

/** Returns null on platforms without a prebuilt binary. */
function loadPty(): Pty | null {
  try {
    return createRequire(import.meta.url)('@lydell/node-pty') as Pty;
  } catch {
    return null;
  }
}

function inTerminal(pty: Pty, { words: [program, ...rest], cwd, environment, data }: CommandSetup): RunningCommand {
  const child = pty.spawn(program, rest, {
    name: environment.TERM && environment.TERM !== 'dumb' ? environment.TERM : 'xterm-256color',
    cols: COLUMNS,
    rows: ROWS,
    cwd,
    env: environment,
    // Requests bytes, so that output that is not UTF-8 stays intact.
    encoding: null,
  });
  child.onData((chunk: unknown) => data(chunk as Buffer));
  const exited = new Promise<CommandExit>((resolve) => {
    child.onExit(({ exitCode, signal }) =>
      resolve(signal ? { code: null, signal: signalName(signal) } : { code: exitCode, signal: null }),
    );
  });
  return {
    pid: child.pid,
    isTerminal: true,
    exited,
    write: (text) => child.write(text),
    resize: (columns, rows) => child.resize(columns, rows),
    // A terminal's child leads its own session and group.
    signal: (name) => signalGroup(child.pid, name),
  };
}

function withPipes({ words: [program, ...rest], cwd, environment, data }: CommandSetup): Promise<RunningCommand> {
  return new Promise((resolve, reject) => {
    const child = spawnChild(program, rest, { cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe'], detached: true });
    child.once('error', reject);
    child.stdout.on('data', data);
    child.stderr.on('data', data);
    // The child may have ended or closed its input.
    child.stdin.on('error', () => {});
    const exited = new Promise<CommandExit>((ended) => child.once('close', (code, signal) => ended({ code, signal })));
    child.once('spawn', () =>
      resolve({
        pid: child.pid!,
        isTerminal: false,
        exited,
        write: (text) => child.stdin.write(text),
        resize: () => {},
        signal: (name) => signalGroup(child.pid!, name),
      }),
    );
  });
}

function signalGroup(pid: number, name: NodeJS.Signals): void {
  for (const target of [-pid, pid]) {
    try {
      process.kill(target, name);
      return;
    } catch {
      // The process leads no group, or is gone already.
    }
  }
}
