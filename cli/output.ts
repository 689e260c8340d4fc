/**
 * Prints everything that the command line says. Text from a store, a script or a file reaches a terminal only as text: apart from
 * the colours of `paint`, nothing that a terminal obeys passes. Nothing else in `cli/` writes to a stream (a test checks this).
 */
import { fstatSync, writeSync } from 'node:fs';
import { visible, visibleJson } from '../protocol/visible.ts';
import { coloursAreOn } from './format.ts';

/** Exit code that shells report for a program that was ended by SIGPIPE. */
const EXIT_READER_GONE = 141;

/** Prints lines for people to standard output. */
export function print(text: string): void {
  write(printable(text));
}

/** Prints lines for people to standard error. */
export function printError(text: string): void {
  process.stderr.write(printable(text));
}

/** Prints one JSON document, or one line of several. In a terminal, too, it is only text. */
export function printJson(value: unknown): void {
  write(`${visibleJson(JSON.stringify(value))}\n`);
}

/** Prints a script's own output unchanged: for the terminal of the user who runs it, or for `--raw`. */
export function printRaw(text: string): void {
  write(text);
}

/** Draws a line that updates itself: the text replaces the line drawn before. */
export function draw(text: string, stream: 'stdout' | 'stderr' = 'stderr'): void {
  process[stream].write(`\r\u001b[K${printable(text)}`);
}

/** Ends the program quietly when nobody reads its output any more (`| head`), and with a message when output cannot be written. */
export function watchOutput(end: (code: number) => void): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => end(brokenBy(error)));
  process.stderr.on('error', () => {});
}

/** Returns the exit code for broken output; prints the reason, unless it is just that nobody reads. */
export function brokenBy(error: NodeJS.ErrnoException): number {
  if (error.code === 'EPIPE' || error.code === 'EOF') return EXIT_READER_GONE;
  const why = error.code === 'ENOSPC' || error.code === 'EDQUOT' ? 'no space is left on the disk' : error.message;
  printError(`error: The output could not be written: ${why}. The command itself may have succeeded.\n`);
  return 1;
}

/** Error of a standard output that is a file and accepts no more bytes. */
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
  // A disk that fills up takes only a part, and Node's stream would not report it.
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

/** Escape sequences of the colours that `paint` uses; others could hide text. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: the sequences begin with one.
const COLOUR = /(\u001b\[(?:0|1|2|22|3[1-6]|39)m)/;

/** Replaces everything that a terminal obeys, except for line breaks and the colours of `paint`. */
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
