/** Writes the parts of protocol buffers that are needed here: fields in the order in which they are added. */

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
