/** Inspected file: its tensors, each with the position of its elements, and everything else that it tells. */
import type { FileInspection, InspectedTensor } from '../protocol/domain.ts';
import type { Budget } from './budget.ts';
import type { FoundTensor, NamedValue } from './contents.ts';
import { bytesOf, elementBytes } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { packedBytes } from './packed.ts';
import { PickleData } from './pickle-values.ts';
import { countOf, isDense, isRowMajor, spanOf, withoutExpanded } from './strides.ts';
import type { Read } from './window.ts';

/** Inspection with the tensors in the order of the file. */
export interface Inspection {
  format: FileInspection['format'];
  bytes: number;
  /** Version of the framework that wrote it, where the file tells. */
  version: string | null;
  tensors: PlacedTensor[];
  /** Number of elements of all tensors, shared memory counted once. */
  elements: number;
  /** First values; `valueCount` counts all. */
  values: NamedValue[];
  valueCount: number;
  classes: { name: string; count: number }[];
  notes: string[];
  /** False if some tensors are not listed. */
  isComplete: boolean;
}

export interface PlacedTensor extends Omit<InspectedTensor, 'statistics' | 'noStatistics'> {
  /** Steps of its dimensions, in elements; null: row by row without gaps. */
  stride: number[] | null;
  /** Range from its first to its last element; null: not available. */
  place: TensorPlace | null;
  /** Pieces in other files that it is put together from; absent: it is in this one. */
  parts?: TensorPart[];
}

/** Piece of a tensor, in a file next to the one that describes it. */
export interface TensorPart {
  /** Position of its first element in each dimension of the tensor. */
  offsets: number[];
  sizes: number[];
  file: string;
  /** Range in which the file holds it, with everything that belongs to it. */
  offset: number;
  bytes: number;
}

export type TensorPlace = Span | Packed;

export interface Span {
  offset: number;
  bytes: number;
}

/** Elements that the file does not contain in plain form: packed, in another byte order, in chunks. */
export interface Packed {
  /** Size of all pieces together. */
  bytes: number;
  /** Yields its elements in memory form, in pieces of any size. */
  pieces(): Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
}

/** Open file whose tensors can be read. */
export interface OpenedFile {
  inspection: Inspection;
  close(): void;
}

/** Limit of PyTorch and NumPy: they count elements in 63 bits. */
const MAX_ELEMENTS = 2 ** 63;

export function blankInspection(format: Inspection['format'], bytes: number): Inspection {
  return {
    format,
    bytes,
    version: null,
    tensors: [],
    elements: 0,
    values: [],
    valueCount: 0,
    classes: [],
    notes: [],
    isComplete: true,
  };
}

/** Counts the elements of a shape. Throws FormatError when no framework could have so many. */
export function checkedCount(shape: readonly number[]): number {
  const count = countOf(shape);
  if (!(count < MAX_ELEMENTS)) throw new FormatError('a tensor has an impossible shape');
  return count;
}

/** Positions of the storages that pickled tensors refer to. */
export interface Storages {
  /** Returns a storage's position; null: it is not in the file. */
  find(storage: string): Span | null;
  /** Reads the source of the pickle. */
  read: Read;
  /** Offset of the pickle's first byte in the file; null: it was unpacked, so that its bytes are not in the file. */
  offset: number | null;
}

/** Adds sizes, ties and positions to the tensors of a pickle. */
export function placeTensors(
  found: readonly FoundTensor[],
  storages: Storages,
  budget: Budget,
): Pick<Inspection, 'tensors' | 'elements'> {
  const firsts = new Map<string, string>();
  let elements = 0;
  const tensors = found.map((tensor): PlacedTensor => {
    const { name, dtype, shape, stride, offset, storage } = tensor;
    budget.spend(200);
    const count = checkedCount(shape);
    const at = storage === null ? null : storages.find(storage);
    const key = storage === null ? null : `${storage}/${offset}/${shape}/${stride}`;
    const tiedTo = (key !== null && firsts.get(key)) || null;
    if (key !== null && tiedTo === null) firsts.set(key, name);
    if (tiedTo === null) elements += count;
    const place = at ? spanIn(tensor, at) : inlinePlace(tensor, storages);
    return {
      name,
      dtype,
      shape,
      bytes: bytesOf(dtype, count),
      tiedTo,
      stride: stride && !isRowMajor(shape, stride) ? stride : null,
      place,
      remark: remarkOn(tensor, count, at !== null),
    };
  });
  return { tensors, elements };
}

function spanIn({ name, dtype, shape, stride, offset }: FoundTensor, at: Span): Span | null {
  const size = elementBytes(dtype);
  if (size === null) return null;
  const bytes = spanOf(shape, stride) * size;
  if (bytes > 0 && offset * size + bytes > at.bytes)
    throw new FormatError(`tensor "${name.slice(0, 80)}" lies outside its storage`);
  return { offset: at.offset + offset * size, bytes };
}

function inlinePlace({ dtype, shape, inline, isBigEndian }: FoundTensor, storages: Storages): TensorPlace | null {
  const bytes = bytesOf(dtype, countOf(shape));
  if (inline === null || bytes === null) return null;
  const swapped = isBigEndian ? (elementBytes(dtype) ?? 1) : 1;
  if (inline instanceof Uint8Array) return packedBytes([inline], bytes, swapped);
  if (storages.offset === null || inline.kind === 'latin1' || swapped > 1)
    return packedBytes(inline, bytes, swapped, storages.read);
  return inline.length < bytes ? null : { offset: storages.offset + inline.offset, bytes };
}

function remarkOn({ shape, stride, storage, inline, isMeta }: FoundTensor, count: number, hasStorage: boolean) {
  if (isMeta) return 'no data: saved from the device "meta"';
  if (storage !== null && !hasStorage) return 'no data: its storage is not in the file';
  if (storage === null && inline === null) return 'its elements have an unsupported form';
  if (inline instanceof PickleData || stride === null || count === 0) return null;
  const { shape: own, stride: steps, repeats } = withoutExpanded(shape, stride);
  if (repeats > 1)
    return `expanded from ${countOf(own).toLocaleString('en-US')} element${countOf(own) === 1 ? '' : 's'}`;
  return isDense(own, steps) ? null : 'a view with gaps';
}
