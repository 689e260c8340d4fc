/** Output as a terminal shows it in the end: of a progress bar, which draws over its own line, the last state. */
import { stripVTControlCharacters } from 'node:util';

export class Bars {
  readonly #write: (text: string) => void;
  /** Columns of the terminal; 0: there is none, so that nothing can be drawn over. */
  readonly #width: number;
  /** The newest states of the line that has not ended. */
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

  /** Nothing comes for a moment: shows how far the line has come. */
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

/** A carriage return at the end belongs to the end of the line: terminals write both. */
function lastState(line: string): string {
  return (
    line
      .split('\r')
      .filter((state) => state !== '')
      .at(-1) ?? ''
  );
}

/** Keeps what can still be the last state: a bar has millions of them. */
function newestStates(line: string): string {
  const end = line.lastIndexOf('\r');
  if (end < 0) return line;
  if (end < line.length - 1) return line.slice(end + 1);
  return `${lastState(line)}\r`;
}
