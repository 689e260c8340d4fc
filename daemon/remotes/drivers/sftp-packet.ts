/** Reads and writes the fields of SFTP's packets. Pure. */

export interface Attributes {
  bytes: number;
  isFile: boolean;
  isFolder: boolean;
  changedAt: number;
}

/** Reads the fields of a packet. Throws RangeError at its end. */
export class Reader {
  readonly #body: Buffer;
  #at = 0;

  constructor(body: Buffer) {
    this.#body = body;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#body.length;
  }

  number32(): number {
    this.#at += 4;
    return this.#body.readUInt32BE(this.#at - 4);
  }

  bytes(): Buffer {
    const length = this.number32();
    if (this.#at + length > this.#body.length) throw new RangeError('a text is longer than its packet');
    this.#at += length;
    return this.#body.subarray(this.#at - length, this.#at);
  }

  text(): string {
    return this.bytes().toString('utf8');
  }

  attributes(): Attributes {
    const flags = this.number32();
    let bytes = 0;
    if (flags & 1) {
      bytes = Number(this.#body.readBigUInt64BE(this.#at));
      this.#at += 8;
    }
    if (flags & 2) this.#at += 8;
    const mode = flags & 4 ? this.number32() : 0;
    if (flags & 8) this.number32();
    const changed = flags & 8 ? this.number32() : 0;
    if (flags & 0x80000000) for (let count = this.number32(); count > 0; count--) this.bytes() && this.bytes();
    const kind = mode & 0o170000;
    return { bytes, isFile: kind === 0o100000, isFolder: kind === 0o040000, changedAt: changed * 1000 };
  }
}

export const NO_ATTRIBUTES = number32(0);

export function attributesOf(body: Buffer): Attributes {
  return new Reader(body).attributes();
}

export function number32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

export function number64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
}

export function text(value: string): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([number32(bytes.length), bytes]);
}
