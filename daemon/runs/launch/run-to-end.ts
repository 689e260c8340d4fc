/** Runs a program of the user's to its end, with all processes that it starts. */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';

/** Characters of its output that are kept, from the end. */
const KEPT_CHARACTERS = 64_000;
const END_WAIT_MS = 5_000;

export interface Ended {
  /** Exit code, or the name of a signal. */
  code: number | string;
  output: string;
}

/** Runs a program. Rejects if it cannot be started; a signal ends it. `said` hears its output as it comes. */
export async function runToEnd(
  program: string,
  words: readonly string[],
  options: { cwd: string; env: Record<string, string> },
  signal: AbortSignal,
  said: (text: string) => void = () => {},
): Promise<Ended> {
  // Own process group, so that all processes that it starts end with it.
  const child = spawn(program, words, { ...options, detached: true, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => {
      output = (output + text).slice(-KEPT_CHARACTERS);
      said(text);
    });
  const ended = new Promise<number | string>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, name) => resolve(code ?? name ?? 1));
  });
  const end = async () => {
    endGroup(child.pid, 'SIGTERM');
    await Promise.race([ended, delay(END_WAIT_MS, null, { ref: false })]);
    endGroup(child.pid, 'SIGKILL');
  };
  signal.addEventListener('abort', end, { once: true });
  // Cancelled before it was started.
  if (signal.aborted) void end();
  try {
    return { code: await ended, output };
  } finally {
    signal.removeEventListener('abort', end);
  }
}

function endGroup(pid: number | undefined, signal: NodeJS.Signals): void {
  if (pid === undefined) return;
  try {
    process.kill(process.platform === 'win32' ? pid : -pid, signal);
  } catch {
    // It has ended already.
  }
}
