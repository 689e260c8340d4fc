/** Writes a zip file of stored entries, like torch and NumPy; zip64 where sizes need it. */
import { crc32 } from 'node:zlib';
import type { Out } from './out.ts';

const WIDE = 0xffffffff;
/** Date 1980-01-01: equal contents give equal files. */
const DOS_DATE = 0x21;

interface Entry {
  name: Buffer;
  offset: number;
  bytes: number;
  crc: number;
}

export class ZipWriter {
  readonly #out: Out;
  readonly #alignment: number;
  readonly #entries: Entry[] = [];

  /** Starts a file in which the data of entries starts at multiples of `alignment` bytes. */
  constructor(out: Out, alignment: number) {
    this.#out = out;
    this.#alignment = alignment;
  }

  /** Adds an entry; `pieces` must yield `bytes` bytes. */
  add(path: string, bytes: number, pieces: Iterable<Uint8Array>): void {
    const name = Buffer.from(path, 'utf8');
    const offset = this.#out.position;
    const isWide = bytes >= WIDE;
    const extra = this.#padded(offset + 30 + name.length, isWide ? wideField([bytes, bytes]) : Buffer.alloc(0));
    const header = Buffer.alloc(30);
    header.writeUInt32LE(0x04034b50, 0);
    header.writeUInt16LE(isWide ? 45 : 20, 4);
    header.writeUInt16LE(0x0800, 6);
    header.writeUInt16LE(DOS_DATE, 12);
    header.writeUInt32LE(isWide ? WIDE : bytes, 18);
    header.writeUInt32LE(isWide ? WIDE : bytes, 22);
    header.writeUInt16LE(name.length, 26);
    header.writeUInt16LE(extra.length, 28);
    this.#out.write(Buffer.concat([header, name, extra]));
    let crc = 0;
    const start = this.#out.position;
    for (const piece of pieces) {
      crc = crc32(piece, crc);
      this.#out.write(piece);
    }
    if (this.#out.position - start !== bytes) throw new RangeError(`"${path}" does not have the announced size`);
    const checksum = Buffer.alloc(4);
    checksum.writeUInt32LE(crc);
    this.#out.patch(offset + 14, checksum);
    this.#entries.push({ name, offset, bytes, crc });
  }

  finish(): void {
    const start = this.#out.position;
    for (const entry of this.#entries) this.#out.write(directoryEntry(entry));
    const size = this.#out.position - start;
    const count = this.#entries.length;
    if (start >= WIDE || size >= WIDE || count >= 0xffff) this.#out.write(wideEnd(count, size, start));
    const end = Buffer.alloc(22);
    end.writeUInt32LE(0x06054b50, 0);
    end.writeUInt16LE(Math.min(count, 0xffff), 8);
    end.writeUInt16LE(Math.min(count, 0xffff), 10);
    end.writeUInt32LE(Math.min(size, WIDE), 12);
    end.writeUInt32LE(Math.min(start, WIDE), 16);
    this.#out.write(end);
  }

  /** Adds a field of zeros, which torch calls "FB", to align the data. */
  #padded(at: number, extra: Buffer): Buffer {
    if (this.#alignment === 1) return extra;
    const rest = (at + extra.length + 4) % this.#alignment;
    const padding = Buffer.alloc(4 + (rest === 0 ? 0 : this.#alignment - rest));
    padding.write('FB', 'latin1');
    padding.writeUInt16LE(padding.length - 4, 2);
    return Buffer.concat([extra, padding]);
  }
}

function wideField(numbers: readonly number[]): Buffer {
  const field = Buffer.alloc(4 + 8 * numbers.length);
  field.writeUInt16LE(1, 0);
  field.writeUInt16LE(8 * numbers.length, 2);
  numbers.forEach((number, i) => void field.writeBigUInt64LE(BigInt(number), 4 + 8 * i));
  return field;
}

function directoryEntry({ name, offset, bytes, crc }: Entry): Buffer {
  const wide = [...(bytes >= WIDE ? [bytes, bytes] : []), ...(offset >= WIDE ? [offset] : [])];
  const extra = wide.length > 0 ? wideField(wide) : Buffer.alloc(0);
  const header = Buffer.alloc(46);
  header.writeUInt32LE(0x02014b50, 0);
  header.writeUInt16LE(wide.length > 0 ? 45 : 20, 4);
  header.writeUInt16LE(wide.length > 0 ? 45 : 20, 6);
  header.writeUInt16LE(0x0800, 8);
  header.writeUInt16LE(DOS_DATE, 14);
  header.writeUInt32LE(crc, 16);
  header.writeUInt32LE(Math.min(bytes, WIDE), 20);
  header.writeUInt32LE(Math.min(bytes, WIDE), 24);
  header.writeUInt16LE(name.length, 28);
  header.writeUInt16LE(extra.length, 30);
  header.writeUInt32LE(Math.min(offset, WIDE), 42);
  return Buffer.concat([header, name, extra]);
}

function wideEnd(count: number, size: number, start: number): Buffer {
  const end = Buffer.alloc(56 + 20);
  end.writeUInt32LE(0x06064b50, 0);
  end.writeBigUInt64LE(44n, 4);
  end.writeUInt16LE(45, 12);
  end.writeUInt16LE(45, 14);
  end.writeBigUInt64LE(BigInt(count), 24);
  end.writeBigUInt64LE(BigInt(count), 32);
  end.writeBigUInt64LE(BigInt(size), 40);
  end.writeBigUInt64LE(BigInt(start), 48);
  end.writeUInt32LE(0x07064b50, 56);
  end.writeBigUInt64LE(BigInt(start + size), 64);
  end.writeUInt32LE(1, 72);
  return end;
}
