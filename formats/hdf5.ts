/** Reads HDF5 files, as Keras writes them. Links are reported and never followed. */
import type { Budget } from './budget.ts';
import { elementBytes } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { type Library, openSealed, type SealedFile, withFormatErrors } from './hdf5-library.ts';
import {
  blankInspection,
  checkedCount,
  type Inspection,
  type OpenedFile,
  type Packed,
  type PlacedTensor,
} from './inspection.ts';
import type { Read } from './window.ts';

export const HDF5_SIGNATURE = Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]);

const MAX_VALUES = 5_000;
const MAX_TEXT = 200;
/** Size above which an attribute is a table, and is not shown. */
const MAX_ATTRIBUTE_BYTES = 16 << 20;
const PIECE_BYTES = 4 << 20;
/** Size up to which packed data sets are read by whole chunks. */
const MAX_CHUNK_BYTES = 64 << 20;
const OBJECT_COST = 600;

const INTEGER = 0;
const FLOAT = 1;
const TEXT = 3;
const COMPOUND = 6;
const ENUMERATION = 8;

type Metadata = ReturnType<Library['get_dataset_metadata']>;

/** Opens a file; `format` is the container that the file is, or is inside. Throws FormatError. */
export async function openHdf5(
  read: Read,
  bytes: number,
  { format, budget }: { format: 'hdf5' | 'keras'; budget: Budget },
): Promise<OpenedFile> {
  checkLength(read, bytes);
  const file = await openSealed(read, bytes);
  try {
    const inspection = withFormatErrors(() => new Lister(file, format, bytes, budget).list());
    const version = inspection.values.find(({ name }) => name === 'keras_version')?.value;
    if (version !== undefined) inspection.version = `keras ${version}`;
    return { inspection, close: () => file.close() };
  } catch (error) {
    file.close();
    throw error;
  }
}

/** Compares the length with the end in the file's first bytes. Source: HDF5 File Format Specification, superblock. */
function checkLength(read: Read, bytes: number): void {
  const start = Buffer.from(read(0, 52));
  const version = start[8] ?? 0;
  const at = version === 0 ? 40 : version === 1 ? 44 : 28;
  const offsetBytes = version < 2 ? start[13] : start[9];
  if (start.length < at + 8 || offsetBytes !== 8) return;
  const end = Number(start.readBigUInt64LE(at));
  if (end > bytes && Number.isSafeInteger(end))
    throw new FormatError(`it is truncated after ${number(bytes)} of ${number(end)} bytes`);
}

class Lister {
  readonly #file: SealedFile;
  readonly #inspection: Inspection;
  readonly #budget: Budget;
  /** Names of objects by their identity: hard links give an object several names, and may form a cycle. */
  readonly #seen = new Map<string, string>();

  constructor(file: SealedFile, format: 'hdf5' | 'keras', bytes: number, budget: Budget) {
    this.#file = file;
    this.#inspection = blankInspection(format, bytes);
    this.#budget = budget;
  }

  list(): Inspection {
    const { library, id } = this.#file;
    const pending: string[] = [''];
    for (let path = pending.pop(); path !== undefined; path = pending.pop()) {
      this.#budget.spend(OBJECT_COST + path.length * 2);
      if (this.#isLink(path)) continue;
      const kind = path === '' ? library.H5G_GROUP : library.get_type(id, path);
      if (kind === library.H5G_DATASET) this.#dataset(path);
      else if (kind === library.H5G_GROUP && !this.#isListed(path)) {
        this.#attributes(path);
        const names = library.get_names(id, path || '/', false);
        for (const name of names.reverse()) pending.push(path === '' ? name : `${path}/${name}`);
      }
    }
    return this.#inspection;
  }

  /** Reports the target of a link, by its text alone. */
  #isLink(path: string): boolean {
    if (path === '') return false;
    const { library, id } = this.#file;
    const soft = library.get_symbolic_link(id, path);
    if (soft !== null) {
      this.#note(`"${path}" is a link to "${soft}", which is not followed.`);
      return true;
    }
    const { filename, obj_path: target } = library.get_external_link(id, path);
    if (filename === undefined) return false;
    this.#note(`"${path}" is a link to "${target}" in another file, "${filename}", which is not read.`);
    return true;
  }

  /** Tells whether a group was listed under another name, and reports it. */
  #isListed(path: string): boolean {
    const first = this.#firstName(path);
    if (first === null) return false;
    this.#note(`"${path}" is another name of "${first || '/'}".`);
    return true;
  }

  /** Returns the first name of an object; null: this is the first. */
  #firstName(path: string): string | null {
    const { library, id } = this.#file;
    const key = Buffer.from(library.create_object_reference(id, path || '/')).toString('hex');
    const before = this.#seen.get(key);
    if (before === undefined) this.#seen.set(key, path);
    return before ?? null;
  }

  #dataset(path: string): void {
    const { library, id } = this.#file;
    const metadata = library.get_dataset_metadata(id, path);
    const shape = (metadata.shape ?? []).map(Number);
    const count = metadata.shape === null ? 0 : checkedCount(shape);
    const dtype = dtypeOf(metadata);
    const tiedTo = this.#firstName(path);
    if (tiedTo === null) this.#inspection.elements += count;
    const remark = this.#remark(path, metadata, shape);
    const isReadable = remark === null && elementBytes(dtype) === metadata.size;
    const tensor: PlacedTensor = {
      name: path,
      dtype,
      shape,
      bytes: count * metadata.size,
      tiedTo,
      stride: null,
      place: isReadable ? this.#packed(path, metadata, shape) : null,
      remark,
    };
    this.#inspection.tensors.push(tensor);
  }

  /** Explains why a data set has no numbers here; null: it has. */
  #remark(path: string, metadata: Metadata, shape: readonly number[]): string | null {
    if (metadata.shape === null) return 'no data: it is empty';
    if (metadata.virtual_sources) {
      const names = [...new Set(metadata.virtual_sources.map(({ file_name: name }) => `"${name}"`))];
      return `no data: put together from ${shownList(names)}, which is not read`;
    }
    // A data set whose bytes are in another file looks like any other until it is read.
    if (metadata.chunks !== null || shape.includes(0)) return null;
    const first = { offset: shape.map(() => 0), count: shape.map(() => 1) };
    const { result, requestedFiles } = this.#file.watched(() => readPart(this.#file, path, metadata.size, first));
    if (result !== null) return null;
    if (requestedFiles.length === 0) return 'no data: its numbers cannot be read';
    return `no data: its numbers are in ${shownList(requestedFiles.map((name) => `"${name}"`))}, which is not read`;
  }

  #packed(path: string, metadata: Metadata, shape: readonly number[]): Packed {
    const file = this.#file;
    const bytes = checkedCount(shape) * metadata.size;
    return {
      bytes,
      *pieces() {
        for (const part of partsOf(shape, metadata)) {
          const piece = withFormatErrors(() => readPart(file, path, metadata.size, part));
          if (piece === null) throw new FormatError(`the numbers of "${path}" cannot be read`);
          yield piece;
        }
      },
    };
  }

  #attributes(path: string): void {
    const { library, id } = this.#file;
    for (const name of library.get_attribute_names(id, path || '/')) {
      this.#budget.spend(OBJECT_COST);
      const value = attributeOf(this.#file, path || '/', name);
      if (value === undefined || ++this.#inspection.valueCount > MAX_VALUES) continue;
      this.#inspection.values.push({ name: path === '' ? name : `${path}.${name}`, value });
    }
  }

  #note(text: string): void {
    this.#inspection.notes.push(text);
  }
}

interface Part {
  offset: number[];
  count: number[];
}

/** Splits a data set into parts of a few megabytes, in the order of the elements. */
function* partsOf(shape: readonly number[], { size, chunks }: Metadata): Generator<Part> {
  if (shape.length === 0) {
    yield { offset: [], count: [] };
    return;
  }
  if (shape.includes(0)) return;
  // First dimension whose steps fit into a part: the dimensions before it are iterated one by one.
  let across = shape.length - 1;
  let stepBytes = size;
  while (across > 0 && stepBytes * shape[across]! <= PIECE_BYTES) stepBytes *= shape[across--]!;
  const chunk = chunks?.[across] ?? 1;
  const steps = chunk * stepBytes <= MAX_CHUNK_BYTES ? Math.max(chunk, Math.floor(PIECE_BYTES / stepBytes)) : 1;
  const index = new Array<number>(across).fill(0);
  for (;;) {
    for (let at = 0; at < shape[across]!; at += Math.max(1, steps)) {
      const count = Math.min(Math.max(1, steps), shape[across]! - at);
      const rest = shape.slice(across + 1);
      yield { offset: [...index, at, ...rest.map(() => 0)], count: [...index.map(() => 1), count, ...rest] };
    }
    let d = across - 1;
    for (; d >= 0; d--) {
      if (++index[d]! < shape[d]!) break;
      index[d] = 0;
    }
    if (d < 0) return;
  }
}

/** Reads elements in little-endian order, row by row; null: they are not available. */
function readPart({ library, id }: SealedFile, path: string, size: number, { offset, count }: Part): Uint8Array | null {
  const bytes = count.reduce((a, b) => a * b, size);
  const pointer = library._malloc(bytes);
  if (pointer === 0) throw new FormatError('its parts are too large for the memory');
  try {
    const wide = (list: readonly number[]) => (list.length === 0 ? null : list.map(BigInt));
    const ones = wide(count.map(() => 1));
    const status = library.get_dataset_data(id, path, wide(count), wide(offset), ones, BigInt(pointer));
    return status < 0 ? null : library.HEAPU8.slice(pointer, pointer + bytes);
  } finally {
    library._free(pointer);
  }
}

/** Reads an attribute; undefined: its kind is not shown. */
function attributeOf(file: SealedFile, path: string, name: string): string | number | boolean | undefined {
  const { library, id } = file;
  try {
    const metadata = library.get_attribute_metadata(id, path, name);
    if (metadata.total_size !== 1 || metadata.size > MAX_ATTRIBUTE_BYTES) return undefined;
    const value = valueOfAttribute(file, path, name, metadata);
    return typeof value === 'string' && value.length > MAX_TEXT ? `${value.slice(0, MAX_TEXT - 1)}…` : value;
  } catch {
    return undefined; // Of a type that the library does not read.
  }
}

function valueOfAttribute(
  { library, id }: SealedFile,
  path: string,
  name: string,
  { type, size, vlen, signed, cset }: Metadata,
): string | number | boolean | undefined {
  const pointer = library._malloc(size);
  if (pointer === 0) return undefined;
  try {
    if (library.get_attribute_data(id, path, name, BigInt(pointer)) < 0) return undefined;
    const bytes = library.HEAPU8.slice(pointer, pointer + size);
    const view = new DataView(bytes.buffer);
    if (type === TEXT) {
      if (vlen)
        return cset === 1
          ? library.UTF8ToString(view.getUint32(0, true))
          : library.AsciiToString(view.getUint32(0, true));
      const end = bytes.indexOf(0);
      return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString(cset === 1 ? 'utf8' : 'latin1');
    }
    if (type === ENUMERATION && size === 1) return bytes[0] !== 0;
    if (type === FLOAT)
      return size === 8 ? finite(view.getFloat64(0, true)) : size === 4 ? finite(view.getFloat32(0, true)) : undefined;
    if (type !== INTEGER) return undefined;
    return integerOf(view, size, signed);
  } finally {
    if (vlen) library.reclaim_vlen_memory(id, path, name, BigInt(pointer));
    library._free(pointer);
  }
}

function integerOf(view: DataView, size: number, signed: boolean): number | string | undefined {
  if (size === 1) return signed ? view.getInt8(0) : view.getUint8(0);
  if (size === 2) return signed ? view.getInt16(0, true) : view.getUint16(0, true);
  if (size === 4) return signed ? view.getInt32(0, true) : view.getUint32(0, true);
  if (size !== 8) return undefined;
  const wide = signed ? view.getBigInt64(0, true) : view.getBigUint64(0, true);
  return Number.isSafeInteger(Number(wide)) ? Number(wide) : String(wide);
}

function finite(value: number): number | string {
  return Number.isFinite(value) ? value : String(value);
}

function dtypeOf({ type, size, signed, enum_type: names, compound_type: record }: Metadata): string {
  if (type === INTEGER) return `${signed ? 'I' : 'U'}${size * 8}`;
  if (type === FLOAT) return `F${size * 8}`;
  // h5py writes booleans like this.
  if (type === ENUMERATION)
    return Object.keys(names?.members ?? {})
      .sort()
      .join() === 'FALSE,TRUE'
      ? 'BOOL'
      : 'enumeration';
  if (type === COMPOUND) {
    const parts = record?.members ?? [];
    const isComplex = parts.map(({ name }) => name).join() === 'r,i' && parts.every((part) => part.type === FLOAT);
    return isComplex ? `C${size * 8}` : 'record';
  }
  return type === TEXT ? 'text' : 'other';
}

function shownList(names: readonly string[]): string {
  const shown = [...new Set(names)];
  return shown.length > 3 ? `${shown.slice(0, 3).join(', ')} and ${shown.length - 3} more files` : shown.join(', ');
}

function number(value: number): string {
  return value.toLocaleString('en-US');
}
