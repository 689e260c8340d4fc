/**
 * Prints everything that the command line says. Text from a store, a script or a file cannot reach a terminal
 * as anything but text: beside the colours of `paint`, nothing that a terminal obeys passes. Nothing else in `cli/` writes
 * to a stream (a test looks).
 */
import { fstatSync, writeSync } from 'node:fs';
import { visible, visibleJson } from '../protocol/visible.ts';
import { coloursAreOn } from './format.ts';

/** The exit code that shells give a program that SIGPIPE has ended. */
const EXIT_READER_GONE = 141;

/** Lines for people on standard output. */
export function print(text: string): void {
  write(printable(text));
}

/** Lines for people on standard error. */
export function printError(text: string): void {
  process.stderr.write(printable(text));
}

/** One JSON document, or one line of several. Also in a terminal it is nothing but text. */
export function printJson(value: unknown): void {
  write(`${visibleJson(JSON.stringify(value))}\n`);
}

/** A script's own output, as it was printed: for the terminal of who runs it, or for `--raw`. */
export function printRaw(text: string): void {
  write(text);
}

/** A line that renews itself: the text replaces the line that was drawn before. */
export function draw(text: string, stream: 'stdout' | 'stderr' = 'stderr'): void {
  process[stream].write(`\r\u001b[K${printable(text)}`);
}

/** Has the program end quietly when nobody reads any more (`| head`), and say so when its output cannot be kept. */
export function watchOutput(end: (code: number) => void): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => end(brokenBy(error)));
  process.stderr.on('error', () => {});
}

/** The exit code; says what it is when it is not only that nobody reads. */
export function brokenBy(error: NodeJS.ErrnoException): number {
  if (error.code === 'EPIPE' || error.code === 'EOF') return EXIT_READER_GONE;
  const why = error.code === 'ENOSPC' || error.code === 'EDQUOT' ? 'no space is left there' : error.message;
  printError(`error: The output could not be written: ${why}. What was asked for may have been done all the same.\n`);
  return 1;
}

/** Raised by a standard output that is a file and takes no more. */
export class OutputError extends Error {
  override readonly cause: NodeJS.ErrnoException;

  constructor(cause: NodeJS.ErrnoException) {
    super(cause.message);
    this.cause = cause;
  }
}

let isFile: boolean | null = null;

function write(text: string): void {
  isFile ??= isRegularFile(1);
  if (!isFile) {
    process.stdout.write(text);
    return;
  }
  // A disk that becomes full takes a part, and Node's stream would not say so.
  const bytes = Buffer.from(text);
  try {
    for (let done = 0; done < bytes.length; ) done += writeSync(1, bytes, done);
  } catch (error) {
    throw new OutputError(error as NodeJS.ErrnoException);
  }
}

function isRegularFile(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isFile();
  } catch {
    return false;
  }
}

/** The colours that `paint` gives; others could hide what is written. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: this is what they begin with.
const COLOUR = /(\u001b\[(?:0|1|2|22|3[1-6]|39)m)/;

/** The text with nothing in it that a terminal obeys, but the colours of `paint` and ends of lines. */
export function printable(text: string): string {
  return text.split('\n').map(printableLine).join('\n');
}

function printableLine(line: string): string {
  if (!coloursAreOn()) return visible(line);
  return line
    .split(COLOUR)
    .map((part, i) => (i % 2 === 1 ? part : visible(part)))
    .join('');
}
