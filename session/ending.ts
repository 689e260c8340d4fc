/** Names the outcome of an ended process, equally for every kind of process. Pure. */
import type { ExitRecord } from '../protocol/session.ts';

/** End of a process. Both null: nobody observed it. */
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
  [10, 'SIGUSR1'],
  [11, 'SIGSEGV'],
  [12, 'SIGUSR2'],
  [13, 'SIGPIPE'],
  [14, 'SIGALRM'],
  [15, 'SIGTERM'],
  [24, 'SIGXCPU'],
  [25, 'SIGXFSZ'],
]);
/** Number that a shell adds to that of the signal which ended its command. */
const SHELL_BASE = 128;

export function signalName(number: number): string {
  return SIGNALS.get(number) ?? `signal ${number}`;
}

/**
 * Returns the signal that ended a process, a shell's command, or a rank of a launcher (a negative exit code); else
 * null.
 */
export function signalOf({ code, signal }: ProcessEnd): string | null {
  if (signal !== null || code === null) return signal;
  if (code < 0) return signalName(-code);
  return SIGNALS.get(code - SHELL_BASE) ?? null;
}

/**
 * Names the outcome; `asked` is the user's request. A process is lost if it was ended from outside, or died without an
 * exit record; it has failed if it ended by itself with an error. Ctrl-C is the user's wish.
 */
export function outcomeOf(end: ProcessEnd, requested: 'paused' | 'stopped' | null): ExitRecord['outcome'] {
  if (requested !== null) return requested;
  if (end.code === 0) return 'completed';
  const signal = signalOf(end);
  if (signal === 'SIGINT') return 'stopped';
  return signal === null && end.code !== null ? 'failed' : 'lost';
}
