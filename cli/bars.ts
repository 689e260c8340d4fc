/** Reduces output to its final state on a terminal: a progress bar, which overwrites its own line, becomes its last state. */
import { stripVTControlCharacters } from 'node:util';

export class Bars {
  readonly #write: (text: string) => void;
  /** Columns of the terminal; 0: not a terminal, so nothing can be overwritten. */
  readonly #width: number;
  /** Newest states of the unfinished line. */
  #line = '';
  #drawn = '';

  constructor(write: (text: string) => void, width: number) {
    this.#write = write;
    this.#width = width;
  }

  take(text: string): void {
    const lines = `${this.#line}${text}`.split('\n');
    this.#line = newestStates(lines.pop()!);
    const done = lines.map((line) => `${lastState(line)}\n`).join('');
    if (done) this.#put(done);
  }

  /** Shows the current state of the unfinished line; called when output pauses. */
  rest(): void {
    const state = lastState(this.#line);
    if (this.#width === 0 || state === this.#drawn) return;
    const plain = stripVTControlCharacters(state);
    this.#put(plain.length < this.#width ? state : plain.slice(0, this.#width - 1));
    this.#drawn = state;
  }

  end(): void {
    const state = lastState(this.#line);
    if (state) this.#put(state);
    this.#line = '';
  }

  #put(text: string): void {
    this.#write(this.#drawn ? `\r\u001b[2K${text}` : text);
    this.#drawn = '';
  }
}

/** Returns the last state of a line. A carriage return at the end is part of the line break: terminals write both. */
function lastState(line: string): string {
  return (
    line
      .split('\r')
      .filter((state) => state !== '')
      .at(-1) ?? ''
  );
}

/** Keeps only what can still be the last state: a bar may have millions of states. */
function newestStates(line: string): string {
  const end = line.lastIndexOf('\r');
  if (end < 0) return line;
  if (end < line.length - 1) return line.slice(end + 1);
  return `${lastState(line)}\r`;
}
