/** Which word a death has: the same wherever it is seen, whatever died. Pure. */
import type { ExitRecord } from '../../protocol/session.ts';

/** How a process ended. Both null: nobody saw it. */
export interface ProcessEnd {
  code: number | null;
  signal: string | null;
}

const SIGNALS = new Map([
  [1, 'SIGHUP'],
  [2, 'SIGINT'],
  [3, 'SIGQUIT'],
  [4, 'SIGILL'],
  [6, 'SIGABRT'],
  [7, 'SIGBUS'],
  [8, 'SIGFPE'],
  [9, 'SIGKILL'],
  [11, 'SIGSEGV'],
  [13, 'SIGPIPE'],
  [14, 'SIGALRM'],
  [15, 'SIGTERM'],
  [24, 'SIGXCPU'],
  [25, 'SIGXFSZ'],
]);
/** Added by a shell to the number of the signal that ended its command. */
const SHELL_BASE = 128;

export function signalName(number: number): string {
  return SIGNALS.get(number) ?? `signal ${number}`;
}

/** The signal that ended a process, or the command of a shell, or a rank of a launcher (a negative exit code); else null. */
export function signalOf({ code, signal }: ProcessEnd): string | null {
  if (signal !== null || code === null) return signal;
  if (code < 0) return signalName(-code);
  return SIGNALS.get(code - SHELL_BASE) ?? null;
}

/**
 * `asked`: what a person had asked for. Lost is what was ended from outside, or died without a word; failed is what ended
 * by itself and said that something is wrong. Ctrl-C is a person's wish.
 */
export function outcomeOf(end: ProcessEnd, asked: 'paused' | 'stopped' | null): ExitRecord['outcome'] {
  if (asked !== null) return asked;
  if (end.code === 0) return 'completed';
  const signal = signalOf(end);
  if (signal === 'SIGINT') return 'stopped';
  return signal === null && end.code !== null ? 'failed' : 'lost';
}
