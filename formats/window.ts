/** Reads a part of a file from beginning to end, holding only a piece of it. */
import { FormatError } from './format-error.ts';

/** Reads bytes of a file, fewer at its end. They are valid until the next call. */
export type Read = (offset: number, length: number) => Uint8Array;

const WINDOW_BYTES = 256 << 10;

export class Window {
  readonly #read: Read;
  readonly #start: number;
  readonly #end: number;
  /** Name of the part in messages: `the pickle`. */
  readonly #name: string;
  #buffer: Buffer = Buffer.alloc(0);
  /** Offset of the buffer's first byte in the file. */
  #offset: number;
  #position = 0;

  constructor(read: Read, start: number, end: number, name: string) {
    this.#read = read;
    this.#start = start;
    this.#offset = start;
    this.#end = end;
    this.#name = name;
  }

  /** Offset of the next byte in the file. */
  get at(): number {
    return this.#offset + this.#position;
  }

  byte(): number {
    if (this.#position === this.#buffer.length) this.#fill(1);
    return this.#buffer[this.#position++]!;
  }

  /** Takes bytes, at most as many as a window holds, valid until the next call. */
  take(count: number): Buffer {
    const from = this.#advance(count);
    return this.#buffer.subarray(from, from + count);
  }

  // Passing over the bytes may replace the buffer, so it comes first.

  uint16(): number {
    const at = this.#advance(2);
    return this.#buffer.readUInt16LE(at);
  }

  int32(): number {
    const at = this.#advance(4);
    return this.#buffer.readInt32LE(at);
  }

  uint32(): number {
    const at = this.#advance(4);
    return this.#buffer.readUInt32LE(at);
  }

  /** Reads an integer. Refuses one that no file could have. */
  uint64(): number {
    const at = this.#advance(8);
    const number = Number(this.#buffer.readBigUInt64LE(at));
    if (!Number.isSafeInteger(number)) throw new FormatError(`${this.#name} claims an impossible length`);
    return number;
  }

  doubleBigEndian(): number {
    const at = this.#advance(8);
    return this.#buffer.readDoubleBE(at);
  }

  text(count: number, encoding: 'utf8' | 'latin1'): string {
    const from = this.#advance(count);
    return this.#buffer.toString(encoding, from, from + count);
  }

  skip(count: number): void {
    if (count > this.#end - this.at) throw this.#truncated();
    const next = this.#position + count;
    if (next <= this.#buffer.length) this.#position = next;
    else {
      this.#offset += next;
      this.#buffer = Buffer.alloc(0);
      this.#position = 0;
    }
  }

  /** Reads up to the next newline, which it drops. Refuses lines longer than `most`. */
  line(most: number): string {
    let found = this.#newline();
    if (found < 0) {
      this.#fill(Math.min(most + 1, this.#end - this.at));
      found = this.#newline();
    }
    if (found < 0 || found - this.#position > most)
      throw found < 0 && this.#end - this.at <= most
        ? this.#truncated()
        : new FormatError(`${this.#name} has an absurdly long line`);
    const text = this.#buffer.toString('utf8', this.#position, found);
    this.#position = found + 1;
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }

  /** Passes over the next bytes, and returns their start in the buffer. */
  #advance(count: number): number {
    if (this.#buffer.length - this.#position < count) this.#fill(count);
    this.#position += count;
    return this.#position - count;
  }

  #newline(): number {
    return this.#buffer.indexOf(10, this.#position);
  }

  /** Fills the buffer with the next bytes, at least `count`. */
  #fill(count: number): void {
    const from = this.at;
    const left = this.#end - from;
    if (left < count || count > WINDOW_BYTES) throw this.#truncated();
    const bytes = this.#read(from, Math.min(WINDOW_BYTES, left));
    // A copy: the reader may reuse its memory.
    this.#buffer = Buffer.from(bytes);
    this.#offset = from;
    this.#position = 0;
    if (bytes.length < count) throw this.#truncated();
  }

  #truncated(): FormatError {
    const bytes = (this.#end - this.#start).toLocaleString('en-US');
    return new FormatError(`${this.#name} is truncated after ${bytes} bytes`);
  }
}
