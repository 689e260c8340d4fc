/** Everything a command prints: kept, bounded, and read line by line on the way. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import type { SessionDirectory } from '../sessions/directory.ts';
import { endPart, PART_BYTES } from '../sessions/printed.ts';
import { writeAll } from '../store/files.ts';

/** Enough for the tracebacks of some ranks and of their launcher. */
const TAIL_BYTES = 64 << 10;
const MAX_LINE_BYTES = 16 << 10;

export class Output {
  readonly #directory: SessionDirectory;
  readonly #line: (text: string) => void;
  #file: number;
  /** Bytes in the newest part. */
  #inPart: number;
  /** Pieces of the newest output, together a little more than what is asked for at the end. */
  #tail: Buffer[] = [];
  #tailBytes = 0;
  #pending = '';

  constructor(directory: SessionDirectory, line: (text: string) => void) {
    this.#directory = directory;
    this.#file = openSync(directory.file('output'), 'a');
    this.#inPart = fstatSync(this.#file).size;
    this.#line = line;
  }

  take(bytes: Buffer): void {
    try {
      writeAll(this.#file, bytes);
      this.#inPart += bytes.length;
      if (this.#inPart >= PART_BYTES) this.#nextPart();
    } catch {
      // A full disk: what is printed is lost, the training is not.
    }
    this.#keepTail(bytes);
    this.#split(bytes.toString('latin1'));
  }

  /** The newest of it, as text. */
  tail(): string {
    return Buffer.concat(this.#tail).subarray(-TAIL_BYTES).toString('utf8');
  }

  close(): void {
    if (this.#pending) this.#line(this.#pending);
    closeSync(this.#file);
  }

  #keepTail(bytes: Buffer): void {
    this.#tail.push(bytes);
    this.#tailBytes += bytes.length;
    while (this.#tailBytes - this.#tail[0]!.length >= TAIL_BYTES) this.#tailBytes -= this.#tail.shift()!.length;
  }

  #nextPart(): void {
    endPart(this.#directory);
    const next = openSync(this.#directory.file('output'), 'a');
    closeSync(this.#file);
    this.#file = next;
    this.#inPart = 0;
  }

  /** A progress bar draws over its line with `\r`: each state of it is a line here. */
  #split(text: string): void {
    const lines = (this.#pending + text).split(/[\r\n]+/);
    this.#pending = lines.pop()!.slice(-MAX_LINE_BYTES);
    for (const line of lines) if (line) this.#line(line);
  }
}
