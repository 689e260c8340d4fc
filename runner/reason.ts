/**
 * Explains why a command ended, in one line: by the signal, the error that ended it, or its exit code, never by the
 * last line it printed. Pure.
 */
import { basename } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import { type ProcessEnd, signalName, signalOf } from '../session/ending.ts';
import { readMetricLine } from './lines.ts';

export interface Death extends ProcessEnd {
  /** The end of its output. */
  output: string;
  /** The command. */
  words: readonly string[];
  /** True if the kernel reported that it killed it because memory ran out. */
  outOfMemory: boolean;
  /** The signal that the runner itself received; null: none. */
  interruptedBy: string | null;
}

export interface Reason {
  text: string;
  /** The class of the Python error that ended it, as printed. */
  errorClass: string | null;
  /** The end of the process; under a launcher, that of the rank that ended first. */
  end: ProcessEnd;
}

const MAX_REASON = 300;
const SENDERS = 'sent by the kernel or by a person';

export function reasonOf(death: Death): Reason {
  const lines = linesOf(death.output);
  const rank = signalOf(death) === null ? failedRank(lines) : null;
  const end: ProcessEnd = rank ?? death;
  const signal = signalOf(end);
  const error = signal === null ? lastError(lines, rank, end.code) : null;
  const what = signal === null ? (error?.text ?? usageError(lines, death.words)) : describeSignal(signal, death);
  const number = rank?.rank ?? error?.rank ?? null;
  const who = number === null ? '' : `rank ${number}: `;
  const how = death.signal === null ? `exit code ${death.code}` : '';
  const after = death.interruptedBy ? `after its runner received ${death.interruptedBy}` : '';
  const added = [what === null ? '' : how, after].filter(Boolean).join(', ');
  return {
    text: `${who}${(what ?? how).slice(0, MAX_REASON)}${added ? ` (${added})` : ''}`,
    errorClass: error?.errorClass ?? null,
    end,
  };
}

function describeSignal(signal: string, { outOfMemory }: Death): string {
  if (signal === 'SIGINT') return 'interrupted by SIGINT (Ctrl-C)';
  if (signal !== 'SIGKILL') return `ended by ${signal}`;
  return outOfMemory ? 'out of memory: the kernel killed it with SIGKILL' : `ended by SIGKILL, ${SENDERS}`;
}

/** Splits the output into lines as a terminal shows them: a redrawn line in its last state. */
function linesOf(output: string): string[] {
  return stripVTControlCharacters(output)
    .split('\n')
    .map((line) => {
      const shown = line.replace(/\r+$/, '');
      return shown.slice(shown.lastIndexOf('\r') + 1).trimEnd();
    });
}

// ---- printed errors ----

interface PrintedError {
  text: string;
  errorClass: string;
  rank: number | null;
}

/** Matches `[rank1]: ` and similar prefixes, the frame of an exception group, then the words themselves. */
const TRACEBACK = /^(.*?)(?:\+ Exception Group )?Traceback \(most recent call last\)/;
const ERROR = /^([A-Za-z_][\w.]*)(?:: .*|:)?$/;
const RANK = /\[rank(\d+)\]/;
/** Compile errors of a script have no traceback. */
const UNTRACED = /^(SyntaxError|IndentationError|TabError): /;
/** Exit code of Python and Node after an exception that nobody handled. */
const UNHANDLED = 1;
const FRAME_OF_NODE = /^ {4}at .+:\d+/;
/** Errors that launchers raise when a process that they started has ended. */
const LAUNCHER_ERROR = /(^|\.)(ChildFailedError|CalledProcessError|ProcessRaisedException|ProcessExitedException)$/;

/**
 * Finds the error that ended the command: of the rank that failed first, not of the launcher that noticed it. An error that the
 * script handled, and went on from, is not it.
 */
function lastError(lines: readonly string[], rank: RankEnd | null, code: number | null): PrintedError | null {
  const from = rank === null ? firstAfterHandled(lines, code) : 0;
  const errors = lines.flatMap((line, i) => {
    if (i < from) return [];
    const prefix = TRACEBACK.exec(line)?.[1];
    if (prefix !== undefined) return errorAfter(lines, i + 1, prefix) ?? [];
    const [, errorClass] =
      UNTRACED.test(line) || FRAME_OF_NODE.test(lines[i + 1] ?? '') ? (ERROR.exec(line) ?? []) : [];
    return errorClass ? [{ text: line, errorClass, rank: null }] : [];
  });
  const own = errors.filter(({ errorClass }) => !LAUNCHER_ERROR.test(errorClass));
  const ofRank = own.filter((error) => rank !== null && rank.rank !== null && error.rank === rank.rank);
  return ofRank.at(-1) ?? own.at(-1) ?? errors.at(-1) ?? null;
}

/** Returns the index of the first line that may be about the end: the training was still going on before it. */
function firstAfterHandled(lines: readonly string[], code: number | null): number {
  const trained = lines.findLastIndex((line) => readMetricLine(line) !== null);
  // An exception that nobody handles ends Python and Node with 1, and a library may print after it. With any other code the script
  // chose to end, and an error is the reason only if it is the last that was printed.
  if (code === UNHANDLED) return trained + 1;
  const last = lines.findLastIndex((line) => line.trim() !== '');
  const start = lines.findLastIndex((line) => TRACEBACK.test(line));
  const error = errorAfter(lines, start + 1, TRACEBACK.exec(lines[start] ?? '')?.[1] ?? '');
  const isLast = UNTRACED.test(lines[last] ?? '') || (start >= 0 && error?.text === lines[last]);
  return isLast ? trained + 1 : lines.length;
}

/** Frames are indented; the first line with the same prefix that is not indented is the error. */
function errorAfter(lines: readonly string[], from: number, prefix: string): PrintedError | null {
  // The library "rich" draws a box around frames and closes it before the error; torchrun indents a rank's own report.
  const before = /[─╭]/.test(prefix) ? '' : prefix.replace(/traceback\s*: $/, '');
  for (const line of lines.slice(from)) {
    if (!line.startsWith(before)) continue;
    const text = line.slice(before.length).replace(/^[ |]*\| (?=\S)/, '');
    if (TRACEBACK.test(text)) return null;
    const [, errorClass] = ERROR.exec(text) ?? [];
    const found = RANK.exec(prefix)?.[1];
    if (errorClass) return { text, errorClass, rank: found === undefined ? null : Number(found) };
  }
  return null;
}

/** Finds a final message such as `train.py: error: …` or `python: can't open file …`. */
function usageError(lines: readonly string[], words: readonly string[]): string | null {
  const last = lines.findLast((line) => line.trim() !== '')?.trim() ?? '';
  const [named] = / *(.+?): ./.exec(last)?.slice(1) ?? [];
  const names = words.filter((word) => !word.startsWith('-')).map((word) => basename(word));
  return named !== undefined && names.includes(basename(named)) ? last : null;
}

// ---- launchers of several processes ----

interface RankEnd extends ProcessEnd {
  /** Null if there is only one. */
  rank: number | null;
}

/**
 * Launchers' reports of the rank that ended first: its number, and its exit code, or a negative number for a signal.
 */
const RANK_ENDS = [
  // torchrun, accelerate
  /Root Cause \(first observed failure\):[\s\S]*?\brank\s*: (\d+)[\s\S]*?\bexitcode\s*: (-?\d+)/,
  // paddle.distributed.launch
  /Container rank (\d+) status failed cmd .*? code (-?\d+)/,
  // DeepSpeed
  /--local_rank=(\d+)\b.*exits with return code = (-?\d+)/,
];
const MPI_END = /process rank (\d+) with PID \d+ on node \S+ exited on signal (\d+)/;
const SPAWN_END = /\bprocess (\d+) terminated with signal (SIG\w+)/;
const CALL_END = /CalledProcessError: Command .* died with <Signals\.(SIG\w+): \d+>/;

function failedRank(lines: readonly string[]): RankEnd | null {
  const text = lines.join('\n');
  for (const pattern of RANK_ENDS) {
    const [, rank, code] = pattern.exec(text) ?? [];
    if (code !== undefined) return { rank: Number(rank), code: Number(code), signal: null };
  }
  const [, mpiRank, number] = MPI_END.exec(text) ?? [];
  if (number !== undefined) return { rank: Number(mpiRank), code: null, signal: signalName(Number(number)) };
  const [, process, signal] = SPAWN_END.exec(text) ?? [];
  if (signal !== undefined) return { rank: Number(process), code: null, signal };
  const [, called] = CALL_END.exec(text) ?? [];
  return called === undefined ? null : { rank: null, code: null, signal: called };
}
