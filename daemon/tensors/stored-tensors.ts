/**
 * Tensors of stored files. Their positions were determined elsewhere, so that reading them needs no knowledge of
 * formats.
 */
import { closeSync, openSync, readSync, rmSync } from 'node:fs';
import { elementBytes } from '../../formats/dtypes.ts';
import { FormatError } from '../../formats/format-error.ts';
import { rowsOf } from '../../formats/strides.ts';
import type { StructuredTensor } from '../../inspector/requests.ts';
import type { Range } from './stored-file.ts';

/** Source of tensors' bytes. */
export interface TensorSource {
  /** Reads bytes; fewer at the end. They are valid until the next call. */
  read(offset: number, length: number): Uint8Array;
  /**
   * Yields the bytes from `offset` on, once, in order. Each piece is a whole number of elements and valid until the
   * next one.
   */
  pieces(offset: number, length: number, elementBytes: number): Iterable<Uint8Array>;
  /** Announces the next reads, in order. */
  expect(ranges: readonly Range[]): void;
  /** Returns a text that is equal only for equal bytes; null: only reading tells. */
  identity(offset: number, length: number): string | null;
}

export interface StoredTensor extends Omit<StructuredTensor, 'place'> {
  source: TensorSource;
  place: Range | null;
}

/** Yields whole elements row by row, whatever their strides. `place` must not be null. */
export function readRows(tensor: StoredTensor): Iterable<Uint8Array> {
  const { dtype, shape, stride, source } = tensor;
  if (stride === null) return readStored(tensor);
  const { offset } = placeOf(tensor);
  return rowsOf(shape, stride, elementBytes(dtype)!, (at, length) => source.read(offset + at, length));
}

/** Yields the elements in memory order: for dense tensors of any order. */
export function readStored(tensor: StoredTensor): Iterable<Uint8Array> {
  const { offset, bytes } = placeOf(tensor);
  return tensor.source.pieces(offset, bytes, elementBytes(tensor.dtype) ?? 1);
}

/** Announces that these tensors will be read, in order. */
export function expectAll(tensors: readonly StoredTensor[]): void {
  for (const [source, own] of Map.groupBy(tensors, (tensor) => tensor.source))
    source.expect(own.flatMap(({ place }) => (place ? [place] : [])));
}

/** Identifies a tensor's bytes; null: only reading tells. */
export function identityOf({ place, source }: StoredTensor): string | null {
  return place && source.identity(place.offset, place.bytes);
}

function placeOf({ name, place }: StoredTensor): Range {
  if (!place) throw new FormatError(`tensor "${name.slice(0, 80)}" cannot be read`);
  return place;
}

const PIECE_BYTES = 4 << 20;

/** Unpacked elements of a file, in a separate file whose name is removed already. */
export class UnpackedFile implements TensorSource {
  readonly #path: string;
  readonly #file: number;

  constructor(path: string) {
    this.#path = path;
    this.#file = openSync(path, 'r');
    // Windows can only delete a closed file.
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
