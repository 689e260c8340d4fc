/** Yields elements that a file does not contain in plain form in the order of memory, piece by piece. */
import { pipeline, Readable } from 'node:stream';
import { createInflateRaw } from 'node:zlib';
import { FormatError } from './format-error.ts';
import type { Packed } from './inspection.ts';
import { PickleData } from './pickle-values.ts';
import type { Read } from './window.ts';

const PIECE_BYTES = 256 << 10;

/**
 * Describes bytes of a pickle, or a range in what `read` reads. `swapped` is the element size for reversing the byte
 * order; 1: none.
 */
export function packedBytes(
  source: readonly Uint8Array[] | PickleData,
  bytes: number,
  swapped: number,
  read?: Read,
): Packed {
  const pieces = () => {
    const raw =
      source instanceof PickleData
        ? source.kind === 'latin1'
          ? decoded(piecesOf(read!, source.offset, source.length))
          : piecesOf(read!, source.offset, source.length)
        : source;
    return exactly(swappedPieces(raw, swapped), bytes);
  };
  return { bytes, pieces };
}

/** Describes `bytes` of a zip's entry after the first `skip`, both counted unpacked. */
export function inflated(
  read: Read,
  { offset, storedBytes }: { offset: number; storedBytes: number },
  { skip, bytes, swapped, isPacked }: { skip: number; bytes: number; swapped: number; isPacked: boolean },
): Packed {
  const pieces = () => {
    if (!isPacked) return exactly(swappedPieces(piecesOf(read, offset + skip, storedBytes - skip), swapped), bytes);
    return exactlyAsync(swappedPiecesAsync(without(inflate(read, offset, storedBytes), skip), swapped), bytes);
  };
  return { bytes, pieces };
}

/** Yields the pieces of a file; each is valid until the next one. */
export function* piecesOf(read: Read, offset: number, length: number): Generator<Uint8Array> {
  for (let done = 0; done < length; ) {
    const piece = read(offset + done, Math.min(PIECE_BYTES, length - done));
    if (piece.length === 0) throw new FormatError('it became shorter while it was read');
    done += piece.length;
    yield piece;
  }
}

/** Unpacks while holding only a few pieces, however large the result is. */
export async function* inflate(read: Read, offset: number, storedBytes: number): AsyncGenerator<Uint8Array> {
  const inflater = createInflateRaw();
  // An error destroys the inflater, and so reaches the loop below.
  pipeline(Readable.from(copies(piecesOf(read, offset, storedBytes))), inflater, () => {});
  try {
    for await (const piece of inflater) yield piece as Uint8Array;
  } catch (error) {
    throw error instanceof FormatError ? error : new FormatError('a packed part of it cannot be unpacked');
  }
}

/** Copies pieces, which are only valid until the next one, for readers that keep them. */
function* copies(pieces: Iterable<Uint8Array>): Generator<Buffer> {
  for (const piece of pieces) yield Buffer.from(piece);
}

/** Decodes UTF-8 of texts whose characters are bytes. */
function* decoded(pieces: Iterable<Uint8Array>): Generator<Uint8Array> {
  let high = 0;
  for (const piece of pieces) {
    const out = new Uint8Array(piece.length + 1);
    let length = 0;
    for (const byte of piece) {
      if (byte < 0x80) out[length++] = byte;
      else if (byte === 0xc2 || byte === 0xc3) high = (byte & 3) << 6;
      else if (byte < 0xc0) out[length++] = high | (byte & 0x3f);
      else throw new FormatError('the text of an array is not made of bytes');
    }
    yield out.subarray(0, length);
  }
}

function* swappedPieces(pieces: Iterable<Uint8Array>, size: number): Generator<Uint8Array> {
  const whole = new WholeElements(size);
  for (const piece of pieces) yield whole.take(piece);
}

async function* swappedPiecesAsync(pieces: AsyncIterable<Uint8Array>, size: number): AsyncGenerator<Uint8Array> {
  const whole = new WholeElements(size);
  for await (const piece of pieces) yield whole.take(piece);
}

/** Reverses the byte order of elements, and keeps incomplete ones back. */
class WholeElements {
  readonly #size: number;
  #rest: Uint8Array = new Uint8Array(0);

  constructor(size: number) {
    this.#size = size;
  }

  take(piece: Uint8Array): Uint8Array {
    if (this.#size === 1) return piece;
    const all = Buffer.concat([this.#rest, piece]);
    const whole = all.length - (all.length % this.#size);
    this.#rest = Uint8Array.from(all.subarray(whole));
    for (let at = 0; at < whole; at += this.#size) all.subarray(at, at + this.#size).reverse();
    return all.subarray(0, whole);
  }
}

async function* without(pieces: AsyncIterable<Uint8Array>, skip: number): AsyncGenerator<Uint8Array> {
  let left = skip;
  for await (const piece of pieces) {
    const from = Math.min(left, piece.length);
    left -= from;
    if (from < piece.length) yield piece.subarray(from);
  }
}

/** Ends after `bytes` bytes; throws when there are fewer. */
function* exactly(pieces: Iterable<Uint8Array>, bytes: number): Generator<Uint8Array> {
  let left = bytes;
  for (const piece of pieces) {
    if (left === 0) return;
    const part = piece.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
  }
  if (left > 0) throw new FormatError('an array is shorter than its shape says');
}

async function* exactlyAsync(pieces: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes;
  for await (const piece of pieces) {
    if (left === 0) return;
    const part = piece.subarray(0, left);
    left -= part.length;
    if (part.length > 0) yield part;
  }
  if (left > 0) throw new FormatError('an array is shorter than its shape says');
}
