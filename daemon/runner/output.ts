/** Everything a command prints: kept in `output.log`, bounded, and read line by line on the way. */
import { closeSync, openSync } from 'node:fs';
import type { SessionDirectory } from '../sessions/directory.ts';
import type { Reporter } from '../sessions/reporter.ts';
import { writeAll } from '../store/files.ts';

const TAIL_BYTES = 16 << 10;
const MAX_LINE_BYTES = 16 << 10;
const CAP_EVERY_BYTES = 1 << 20;

export class Output {
  readonly #file: number;
  readonly #reporter: Reporter;
  readonly #line: (text: string) => void;
  #tail = Buffer.alloc(0);
  #pending = '';
  #sinceCap = 0;

  constructor(directory: SessionDirectory, reporter: Reporter, line: (text: string) => void) {
    this.#file = openSync(directory.file('output'), 'a');
    this.#reporter = reporter;
    this.#line = line;
  }

  take(bytes: Buffer): void {
    try {
      writeAll(this.#file, bytes);
    } catch {
      // A full disk: what is printed is lost, the training is not.
    }
    this.#tail = Buffer.concat([this.#tail, bytes]).subarray(-TAIL_BYTES);
    this.#sinceCap += bytes.length;
    if (this.#sinceCap > CAP_EVERY_BYTES) {
      this.#sinceCap = 0;
      this.#reporter.capOutput();
    }
    this.#split(bytes.toString('latin1'));
  }

  /** The newest of it, as text. */
  tail(): string {
    return this.#tail.toString('utf8');
  }

  close(): void {
    if (this.#pending) this.#line(this.#pending);
    closeSync(this.#file);
  }

  /** A progress bar draws over its line with `\r`: each state of it is a line here. */
  #split(text: string): void {
    const lines = (this.#pending + text).split(/[\r\n]+/);
    this.#pending = lines.pop()!.slice(-MAX_LINE_BYTES);
    for (const line of lines) if (line) this.#line(line);
  }
}
