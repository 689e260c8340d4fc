/** Tensors that lie in pieces in several files, as in a distributed checkpoint of torch: put together when they are read. */
import { dirname } from 'node:path';
import { elementBytes } from '../../formats/dtypes.ts';
import { FormatError } from '../../formats/format-error.ts';
import type { TensorPart } from '../../formats/inspection.ts';
import { countOf } from '../../formats/strides.ts';
import { identityOf, readRows, type StoredTensor, type TensorSource } from './stored-tensors.ts';

/** Limit of one tensor in memory. */
const MAX_BYTES = 4 * 2 ** 30;

export interface FileTensors {
  file: { name: string };
  tensors: StoredTensor[];
}

/** Puts the tensors of descriptions together. Returns the files whose tensors are pieces, and nothing by themselves. */
export function joinPieces(files: readonly FileTensors[]): Set<FileTensors> {
  const pieces = new Set<FileTensors>();
  const byName = new Map(files.map((one) => [one.file.name, one]));
  for (const described of files) {
    for (const [i, tensor] of described.tensors.entries()) {
      const found = tensor.parts?.map((part) => {
        const folder = dirname(described.file.name);
        const file = byName.get(folder === '.' ? part.file : `${folder}/${part.file}`);
        if (file) pieces.add(file);
        return { part, stored: file?.tensors.find(({ place }) => place !== null && isWithin(place, part)) };
      });
      if (found) described.tensors[i] = joined(tensor, found);
    }
  }
  return pieces;
}

interface Piece {
  part: TensorPart;
  stored: StoredTensor;
}

function joined(
  tensor: StoredTensor,
  found: readonly { part: TensorPart; stored: StoredTensor | undefined }[],
): StoredTensor {
  const { shape, dtype, bytes } = tensor;
  const pieces = found.filter((one): one is Piece => one.stored !== undefined && isPieceOf(tensor, one as Piece));
  const elements = pieces.reduce((sum, { part }) => sum + countOf(part.sizes), 0);
  const size = elementBytes(dtype);
  if (pieces.length !== found.length || elements !== countOf(shape) || bytes === null || size === null)
    return { ...tensor, remark: 'some of its shards are missing, or hold something else' };
  const only = pieces.length === 1 ? pieces[0]!.stored : null;
  if (only) return { ...tensor, place: only.place, source: only.source, stride: only.stride, remark: null };
  const source = new JoinedTensor(shape, size, bytes, pieces);
  return { ...tensor, place: { offset: 0, bytes }, source, stride: null, remark: null };
}

function isWithin({ offset, bytes }: { offset: number; bytes: number }, part: TensorPart): boolean {
  return offset >= part.offset && offset + bytes <= part.offset + part.bytes;
}

function isPieceOf({ dtype, shape }: StoredTensor, { part, stored }: Piece): boolean {
  return (
    stored.dtype === dtype &&
    stored.shape.join() === part.sizes.join() &&
    part.offsets.length === shape.length &&
    part.offsets.every((at, i) => at + part.sizes[i]! <= shape[i]!)
  );
}

class JoinedTensor implements TensorSource {
  readonly #shape: readonly number[];
  readonly #elementBytes: number;
  readonly #bytes: number;
  readonly #pieces: readonly Piece[];

  constructor(shape: readonly number[], size: number, bytes: number, pieces: readonly Piece[]) {
    this.#shape = shape;
    this.#elementBytes = size;
    this.#bytes = bytes;
    this.#pieces = pieces;
  }

  read(offset: number, length: number): Uint8Array {
    return this.#whole().subarray(offset, offset + length);
  }

  *pieces(offset: number, length: number): Generator<Uint8Array> {
    if (length > 0) yield this.read(offset, length);
  }

  expect(): void {}

  identity(): string | null {
    const own = this.#pieces.map(({ part, stored }) => {
      const identity = identityOf(stored);
      return identity === null ? null : `${part.offsets.join()}=${identity}`;
    });
    return own.includes(null) ? null : own.join(';');
  }

  #whole(): Uint8Array {
    if (this.#bytes > MAX_BYTES) throw new FormatError('a tensor in shards is larger than 4 GB, which is the limit');
    const out = new Uint8Array(this.#bytes);
    for (const piece of this.#pieces) this.#put(out, piece);
    return out;
  }

  /** Copies a piece, row by row of its last dimension. */
  #put(out: Uint8Array, { part: { offsets, sizes }, stored }: Piece): void {
    const size = this.#elementBytes;
    const rowBytes = (sizes.at(-1) ?? 1) * size;
    const bytes = Buffer.concat([...readRows(stored)].map((rows) => Uint8Array.from(rows)));
    const at = offsets.map(() => 0);
    for (let done = 0; done < bytes.length; done += rowBytes) {
      let element = 0;
      for (const [i, length] of this.#shape.entries()) element = element * length + offsets[i]! + at[i]!;
      out.set(bytes.subarray(done, done + rowBytes), element * size);
      for (let i = at.length - 2; i >= 0; i--) {
        if (++at[i]! < sizes[i]!) break;
        at[i] = 0;
      }
    }
  }
}
