/** All tensors of a stored checkpoint, whatever files they are in. */
import { basename } from 'node:path';
import type { FileInspection } from '../../protocol/domain.ts';
import { type AnyFile, openAnyFile } from '../formats/any-file.ts';
import { bytesOf, type PlacedTensor } from '../formats/inspect.ts';
import { FormatError } from '../formats/safetensors.ts';
import type { StoredFile, StoreReader } from './stored-file.ts';

export interface StoredTensor extends PlacedTensor {
  file: StoredFile;
}

export interface Content {
  /** In the order of the files. A name that several files have begins with the file's. */
  tensors: StoredTensor[];
  /** They hold more than a model: an epoch, an optimizer. */
  isBox: boolean;
  /** Files that are none with tensors, or cannot be read, and why. */
  notes: string[];
  close(): void;
}

/** Throws `corrupted`. */
export async function openContent(reader: StoreReader, checkpoint: string): Promise<Content> {
  const opened: { file: StoredFile; any: AnyFile }[] = [];
  const notes: string[] = [];
  for (const file of reader.open(checkpoint)) {
    try {
      const any = await openAnyFile(file.read, file.bytes, null);
      opened.push({ file, any });
      notes.push(...any.inspection.notes.map((note) => `${file.name}: ${note}`));
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof RangeError)) throw error;
      notes.push(`${file.name}: ${error.message}`);
    }
  }
  const seen = new Map<string, number>();
  for (const { any } of opened)
    for (const { name } of any.inspection.tensors) seen.set(name, (seen.get(name) ?? 0) + 1);
  const stems = opened.map(({ file }) => stem(file.name));
  const tensors = opened.flatMap(({ file, any }, i) => {
    // Files of one checkpoint that differ in a number alone (ranks, shards) keep it.
    const before = stems.indexOf(stems[i]!) === stems.lastIndexOf(stems[i]!) ? stems[i]! : withoutEnding(file.name);
    const unique = (name: string) => (seen.get(name)! > 1 && opened.length > 1 ? `${before}.${name}` : name);
    return any.inspection.tensors.map((tensor) => ({
      ...tensor,
      name: unique(tensor.name),
      tiedTo: tensor.tiedTo === null ? null : unique(tensor.tiedTo),
      file,
    }));
  });
  return {
    tensors,
    isBox: opened.some(({ any }) => isBox(any.inspection)),
    notes,
    close: () => {
      for (const { any } of opened) any.close();
    },
  };
}

/** A safetensors file says something of itself in any case; one of our trainer's holds a whole training. */
function isBox({ format, values }: Pick<FileInspection, 'format' | 'values'>): boolean {
  return format === 'safetensors' ? values.some(({ name }) => name === 'trainstash.progress') : values.length > 0;
}

/** Equal for the files of two checkpoints that play the same part: `model_epoch_12.pdparams` → `model_epoch`. */
function stem(name: string): string {
  return withoutEnding(name).replaceAll(/[_\-.]?\d+/g, '');
}

function withoutEnding(name: string): string {
  return basename(name).replace(/\.\w+$/, '');
}

/** Rows above this are gathered in several goes. */
const GATHER_ELEMENTS = 1 << 20;

/** Whole elements row by row, whatever their strides, of the dtype that is returned beside them. `place` must not be null. */
export function readRows(tensor: StoredTensor): { dtype: string; pieces: Iterable<Uint8Array> } {
  const { dtype, shape, stride } = tensor;
  if (stride === null) return readStored(tensor);
  const size = bytesOf(dtype);
  return { dtype, pieces: gather(shape, stride, size, randomRead(tensor)) };
}

/** The elements as they lie in memory: for tensors that are dense, in whatever order. */
export function readStored(tensor: StoredTensor): { dtype: string; pieces: Iterable<Uint8Array> } {
  const { place, dtype, file } = tensor;
  if (!place) throw new FormatError(`tensor "${tensor.name}" cannot be read`);
  if ('load' in place) {
    const { dtype: loaded, bytes } = place.load();
    return { dtype: loaded, pieces: [bytes] };
  }
  if ('inline' in place) return { dtype, pieces: [place.inline] };
  return { dtype, pieces: file.pieces(place.offset, place.bytes, bytesOf(dtype)) };
}

/** Says that these will be read, in that order. */
export function expectAll(tensors: readonly StoredTensor[]): void {
  for (const [file, own] of Map.groupBy(tensors, (tensor) => tensor.file))
    file.expect(own.flatMap(({ place }) => (place && 'offset' in place ? [place] : [])));
}

/** Null: what stands there is not known without reading it. */
export function identityOf({ place, file }: StoredTensor): string | null {
  return place && 'offset' in place ? file.identity(place.offset, place.bytes) : null;
}

function randomRead({ place, file }: StoredTensor): (offset: number, length: number) => Uint8Array {
  if (!place) throw new FormatError('a tensor cannot be read');
  if ('offset' in place) return (offset, length) => file.read(place.offset + offset, length);
  const bytes = 'inline' in place ? place.inline : place.load().bytes;
  return (offset, length) => bytes.subarray(offset, offset + length);
}

function* gather(
  shape: readonly number[],
  stride: readonly number[],
  size: number,
  read: (offset: number, length: number) => Uint8Array,
): Generator<Uint8Array> {
  const count = shape.reduce((a, b) => a * b, 1);
  // Elements that stand side by side are copied together.
  const last = shape.length - 1;
  const run = last >= 0 && stride[last] === 1 ? shape[last]! : 1;
  const outer = run === 1 ? shape : shape.slice(0, -1);
  const index = new Array<number>(outer.length).fill(0);
  let at = 0;
  let done = 0;
  while (done < count) {
    const elements = Math.min(count - done, Math.max(run, GATHER_ELEMENTS - (GATHER_ELEMENTS % run)));
    const out = new Uint8Array(elements * size);
    for (let filled = 0; filled < elements; filled += run) {
      out.set(read(at * size, run * size), filled * size);
      for (let d = outer.length - 1; d >= 0; d--) {
        at += stride[d]!;
        if (++index[d]! < outer[d]!) break;
        at -= stride[d]! * outer[d]!;
        index[d] = 0;
      }
    }
    done += elements;
    yield out;
  }
}
