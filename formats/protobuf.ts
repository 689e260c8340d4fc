/** Reads and writes protocol buffers, field by field, without a schema. */
import { FormatError } from './format-error.ts';

/** Field of a message that is read. What the bytes mean depends on the message. */
export interface Field {
  number: number;
  /** Value of an integer field. */
  varint?: bigint;
  /** Contents of any other field: text, a message, or a number of 4 or 8 bytes. */
  bytes?: Uint8Array;
}

/** Position in bytes that hold varints, as protocol buffers and LevelDB's tables do. Throws FormatError where they break off. */
export class VarintReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get isOver(): boolean {
    return this.#at >= this.#bytes.length;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.isOver) throw new FormatError('it breaks off');
      const byte = this.#bytes[this.#at++]!;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return BigInt.asUintN(64, value);
    }
    throw new FormatError('a number in it has no end');
  }

  /** Reads a varint that counts or places bytes. */
  size(): number {
    const value = this.varint();
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FormatError('a size in it is impossible');
    return Number(value);
  }

  /** Gives the next bytes, without copying them. */
  take(count: number): Uint8Array {
    if (count > this.#bytes.length - this.#at) throw new FormatError('it breaks off');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }
}

/** Yields the fields of a message. Throws FormatError where it is damaged. */
export function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  const reader = new VarintReader(bytes);
  while (!reader.isOver) {
    const tag = reader.varint();
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (wire === 0) yield { number, varint: reader.varint() };
    else if (wire === 1) yield { number, bytes: reader.take(8) };
    else if (wire === 2) yield { number, bytes: reader.take(reader.size()) };
    else if (wire === 5) yield { number, bytes: reader.take(4) };
    else throw new FormatError('a field of it is of an unknown kind');
  }
}

/** Views a field's bytes, to read numbers from them. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

/** Message that is written: fields in the order in which they are added. */
export class Message {
  readonly #parts: Uint8Array[] = [];

  integer(field: number, value: number): this {
    return this.#add(varint(field * 8), varint(value));
  }

  double(field: number, value: number): this {
    const bytes = Buffer.alloc(8);
    bytes.writeDoubleLE(value);
    return this.#add(varint(field * 8 + 1), bytes);
  }

  float(field: number, value: number): this {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    return this.#add(varint(field * 8 + 5), bytes);
  }

  text(field: number, value: string): this {
    return this.raw(field, Buffer.from(value, 'utf8'));
  }

  message(field: number, value: Message): this {
    return this.raw(field, ...value.#parts);
  }

  /** Adds a field; keeps the pieces without copying them. */
  raw(field: number, ...pieces: readonly Uint8Array[]): this {
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
    return this.#add(varint(field * 8 + 2), varint(length), ...pieces);
  }

  /** Pieces of the message, in order. */
  get pieces(): readonly Uint8Array[] {
    return this.#parts;
  }

  bytes(): Buffer {
    return Buffer.concat(this.#parts);
  }

  #add(...parts: readonly Uint8Array[]): this {
    // One by one: a spread of a large message's parts would overflow the stack.
    for (const part of parts) this.#parts.push(part);
    return this;
  }
}

/** Encodes an integer. Negative ones become 64-bit integers, as the format demands. */
function varint(value: number): Uint8Array {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return Uint8Array.from(bytes);
}
