/**
 * Scans JSON text without building values: a file's content only costs memory where it is requested. Nesting costs
 * little for each level.
 */
import { FormatError } from './format-error.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const MAX_DEPTH = 128;

export class JsonScanner {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  /** Calls `member` for each value of an object; it must consume the value. */
  object(member: (key: string) => void): void {
    this.#expect(OPEN_OBJECT);
    if (this.#consumes(CLOSE_OBJECT)) return;
    do {
      const key = this.text();
      this.#expect(COLON);
      member(key);
    } while (this.#consumes(COMMA));
    this.#expect(CLOSE_OBJECT);
  }

  /** Calls `item` for each value of a list; it must consume the value. */
  list(item: () => void): void {
    this.#expect(OPEN_LIST);
    if (this.#consumes(CLOSE_LIST)) return;
    do item();
    while (this.#consumes(COMMA));
    this.#expect(CLOSE_LIST);
  }

  text(): string {
    this.#space();
    if (this.#bytes[this.#at] !== QUOTE) throw broken();
    const start = this.#at;
    const isPlain = this.#skipText();
    if (isPlain) return this.#bytes.toString('utf8', start + 1, this.#at - 1);
    try {
      return JSON.parse(this.#bytes.toString('utf8', start, this.#at)) as string;
    } catch {
      throw broken();
    }
  }

  /** Reads an integer that is not negative; null: another value, which was skipped. */
  count(): number | null {
    this.#space();
    const start = this.#at;
    while (isDigit(this.#bytes[this.#at])) this.#at++;
    const length = this.#at - start;
    const next = this.#bytes[this.#at];
    if (length > 0 && length <= 16 && next !== 0x2e && next !== 0x65 && next !== 0x45) {
      const number = Number(this.#bytes.toString('latin1', start, this.#at));
      return Number.isSafeInteger(number) ? number : null;
    }
    this.#at = start;
    this.skip();
    return null;
  }

  /** Returns the kind of the next value. */
  next(): 'text' | 'object' | 'list' | 'other' {
    this.#space();
    const byte = this.#bytes[this.#at];
    if (byte === QUOTE) return 'text';
    if (byte === OPEN_OBJECT) return 'object';
    return byte === OPEN_LIST ? 'list' : 'other';
  }

  /** Skips a value, and returns its position. */
  skip(depth = 0): { start: number; end: number } {
    const kind = this.next();
    const start = this.#at;
    if (depth > MAX_DEPTH) throw new FormatError('the header is nested too deeply');
    if (kind === 'text') this.#skipText();
    else if (kind === 'object') this.object(() => void this.skip(depth + 1));
    else if (kind === 'list') this.list(() => void this.skip(depth + 1));
    else this.#skipWord();
    return { start, end: this.#at };
  }

  /** Requires that only space follows. */
  end(): void {
    this.#space();
    if (this.#at < this.#bytes.length) throw broken();
  }

  /** Skips a text. Returns true if it has no escapes. */
  #skipText(): boolean {
    let isPlain = true;
    for (this.#at++; ; this.#at++) {
      const byte = this.#bytes[this.#at];
      if (byte === undefined || byte < 0x20) throw broken();
      if (byte === QUOTE) break;
      if (byte === BACKSLASH) {
        isPlain = false;
        this.#at++;
      }
    }
    this.#at++;
    return isPlain;
  }

  /** Skips a number, true, false or null. */
  #skipWord(): void {
    const start = this.#at;
    while (isWordByte(this.#bytes[this.#at])) this.#at++;
    const word = this.#bytes.toString('latin1', start, Math.min(this.#at, start + 64));
    if (!/^(true|false|null|-?\d[\d.eE+-]*)$/.test(word)) throw broken();
  }

  #expect(byte: number): void {
    if (!this.#consumes(byte)) throw broken();
  }

  #consumes(byte: number): boolean {
    this.#space();
    if (this.#bytes[this.#at] !== byte) return false;
    this.#at++;
    return true;
  }

  #space(): void {
    for (let byte = this.#bytes[this.#at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; )
      byte = this.#bytes[++this.#at];
  }
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

function isWordByte(byte: number | undefined): boolean {
  return (
    byte !== undefined &&
    (isDigit(byte) ||
      (byte >= 0x61 && byte <= 0x7a) ||
      byte === 0x2b ||
      byte === 0x2d ||
      byte === 0x2e ||
      byte === 0x45)
  );
}

function broken(): FormatError {
  return new FormatError('the header is not JSON');
}
