/** A part of a file, read from its beginning to its end without ever holding more than a piece of it. */
import { FormatError } from './format-error.ts';

/** Gives bytes of a file, fewer at its end. They are valid until the next call. */
export type Read = (offset: number, length: number) => Uint8Array;

const WINDOW_BYTES = 256 << 10;

export class Window {
  readonly #read: Read;
  readonly #start: number;
  readonly #end: number;
  /** What breaks off when the end comes too early, for the message: `the pickle`. */
  readonly #name: string;
  #buffer: Buffer = Buffer.alloc(0);
  /** Of the buffer's first byte, in the file. */
  #offset: number;
  #position = 0;

  constructor(read: Read, start: number, end: number, name: string) {
    this.#read = read;
    this.#start = start;
    this.#offset = start;
    this.#end = end;
    this.#name = name;
  }

  /** Of the next byte, in the file. */
  get at(): number {
    return this.#offset + this.#position;
  }

  byte(): number {
    if (this.#position === this.#buffer.length) this.#fill(1);
    return this.#buffer[this.#position++]!;
  }

  /** At most as many bytes as a window holds, valid until the next call. */
  take(count: number): Buffer {
    const from = this.#pass(count);
    return this.#buffer.subarray(from, from + count);
  }

  // Going over the bytes may bring another buffer: it comes first.

  uint16(): number {
    const at = this.#pass(2);
    return this.#buffer.readUInt16LE(at);
  }

  int32(): number {
    const at = this.#pass(4);
    return this.#buffer.readInt32LE(at);
  }

  uint32(): number {
    const at = this.#pass(4);
    return this.#buffer.readUInt32LE(at);
  }

  /** Refuses what no file can hold. */
  uint64(): number {
    const at = this.#pass(8);
    const number = Number(this.#buffer.readBigUInt64LE(at));
    if (!Number.isSafeInteger(number)) throw new FormatError(`${this.#name} claims an impossible length`);
    return number;
  }

  doubleBigEndian(): number {
    const at = this.#pass(8);
    return this.#buffer.readDoubleBE(at);
  }

  text(count: number, encoding: 'utf8' | 'latin1'): string {
    const from = this.#pass(count);
    return this.#buffer.toString(encoding, from, from + count);
  }

  skip(count: number): void {
    if (count > this.#end - this.at) throw this.#breaksOff();
    const next = this.#position + count;
    if (next <= this.#buffer.length) this.#position = next;
    else {
      this.#offset += next;
      this.#buffer = Buffer.alloc(0);
      this.#position = 0;
    }
  }

  /** Up to the next newline, which is left out. Longer lines than `most` are refused. */
  line(most: number): string {
    let found = this.#newline();
    if (found < 0) {
      this.#fill(Math.min(most + 1, this.#end - this.at));
      found = this.#newline();
    }
    if (found < 0 || found - this.#position > most)
      throw found < 0 && this.#end - this.at <= most
        ? this.#breaksOff()
        : new FormatError(`${this.#name} has an absurdly long line`);
    const text = this.#buffer.toString('utf8', this.#position, found);
    this.#position = found + 1;
    return text.endsWith('\r') ? text.slice(0, -1) : text;
  }

  /** Goes over the next bytes, and tells where in the buffer they begin. */
  #pass(count: number): number {
    if (this.#buffer.length - this.#position < count) this.#fill(count);
    this.#position += count;
    return this.#position - count;
  }

  #newline(): number {
    return this.#buffer.indexOf(10, this.#position);
  }

  /** Brings the next bytes into the buffer, `count` at least. */
  #fill(count: number): void {
    const from = this.at;
    const left = this.#end - from;
    if (left < count || count > WINDOW_BYTES) throw this.#breaksOff();
    const bytes = this.#read(from, Math.min(WINDOW_BYTES, left));
    // A copy: whoever reads may give the same memory again.
    this.#buffer = Buffer.from(bytes);
    this.#offset = from;
    this.#position = 0;
    if (bytes.length < count) throw this.#breaksOff();
  }

  #breaksOff(): FormatError {
    const bytes = (this.#end - this.#start).toLocaleString('en-US');
    return new FormatError(`${this.#name} breaks off after ${bytes} bytes`);
  }
}
