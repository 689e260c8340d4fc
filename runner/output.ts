/** Stores everything a command prints, within a limit, and splits it into lines. */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { writeAll } from '../base/files.ts';
import type { SessionDirectory } from '../session/directory.ts';
import { endPart, PART_BYTES } from '../session/printed.ts';

/** Enough for the tracebacks of several ranks and their launcher. */
const TAIL_BYTES = 64 << 10;
const MAX_LINE_BYTES = 16 << 10;

export class Output {
  readonly #directory: SessionDirectory;
  readonly #line: (text: string) => void;
  #file: number;
  /** The number of bytes in the newest part. */
  #inPart: number;
  /** The newest chunks, together a little more than TAIL_BYTES. */
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
      // A full disk loses output, but does not stop the training.
    }
    this.#keepTail(bytes);
    this.#split(bytes.toString('latin1'));
  }

  /** Returns the end of the output as text. */
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

  /** Splits at `\r` too, since a progress bar redraws its line with it. */
  #split(text: string): void {
    const lines = (this.#pending + text).split(/[\r\n]+/);
    this.#pending = lines.pop()!.slice(-MAX_LINE_BYTES);
    for (const line of lines) if (line) this.#line(line);
  }
}
