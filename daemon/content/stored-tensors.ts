/** Tensors of stored files: where they are was found out elsewhere, so that reading them understands no format. */
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { elementBytes } from '../formats/dtypes.ts';
import { FormatError } from '../formats/format-error.ts';
import { rowsOf } from '../formats/strides.ts';
import type { StructuredTensor } from '../inspector/requests.ts';
import type { Range } from './stored-file.ts';

/** Bytes that tensors are read from. */
export interface TensorSource {
  /** Fewer bytes at its end. They are valid until the next call. */
  read(offset: number, length: number): Uint8Array;
  /** The bytes from `offset` on, once, in order, each piece a whole number of elements, valid until the next one is asked for. */
  pieces(offset: number, length: number, elementBytes: number): Iterable<Uint8Array>;
  /** Says what will be read next, in that order. */
  expect(ranges: readonly Range[]): void;
  /** Equal for equal bytes; null: only reading tells. */
  identity(offset: number, length: number): string | null;
}

export interface StoredTensor extends Omit<StructuredTensor, 'place'> {
  source: TensorSource;
  place: Range | null;
}

/** Gives whole elements row by row, whatever their strides. `place` must not be null. */
export function readRows(tensor: StoredTensor): Iterable<Uint8Array> {
  const { dtype, shape, stride, source } = tensor;
  if (stride === null) return readStored(tensor);
  const { offset } = placeOf(tensor);
  return rowsOf(shape, stride, elementBytes(dtype)!, (at, length) => source.read(offset + at, length));
}

/** Gives the elements as they lie in memory: for tensors that are dense, in whatever order. */
export function readStored(tensor: StoredTensor): Iterable<Uint8Array> {
  const { offset, bytes } = placeOf(tensor);
  return tensor.source.pieces(offset, bytes, elementBytes(tensor.dtype) ?? 1);
}

/** Says that these will be read, in that order. */
export function expectAll(tensors: readonly StoredTensor[]): void {
  for (const [source, own] of Map.groupBy(tensors, (tensor) => tensor.source))
    source.expect(own.flatMap(({ place }) => (place ? [place] : [])));
}

/** Null: what stands there is not known without reading it. */
export function identityOf({ place, source }: StoredTensor): string | null {
  return place && source.identity(place.offset, place.bytes);
}

function placeOf({ name, place }: StoredTensor): Range {
  if (!place) throw new FormatError(`tensor "${name.slice(0, 80)}" cannot be read`);
  return place;
}

const PIECE_BYTES = 4 << 20;

/** Elements that were unpacked of a file, in a file of their own that has no name any more. */
export class UnpackedFile implements TensorSource {
  readonly #path: string;
  readonly #file: number;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'r');
    // On Windows it can go only when it is closed.
    if (process.platform !== 'win32') rmSync(path);
  }

  read(offset: number, length: number): Uint8Array {
    const bytes = Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const read = readSync(this.#file, bytes, done, length - done, offset + done);
      if (read === 0) break;
      done += read;
    }
    return bytes.subarray(0, done);
  }

  *pieces(offset: number, length: number, elementBytes: number): Generator<Uint8Array> {
    const most = PIECE_BYTES - (PIECE_BYTES % elementBytes);
    for (let done = 0; done < length; done += most) yield this.read(offset + done, Math.min(most, length - done));
  }

  expect(): void {}

  identity(): null {
    return null;
  }

  close(): void {
    closeSync(this.#file);
    rmSync(this.#path, { force: true });
  }
}
