/** What a checkpoint file holds. Reads through `read` only what it needs: a list of tensors costs no tensor. */
import { inflateRawSync } from 'node:zlib';
import type { FileInspection, InspectedTensor } from '../../protocol/domain.ts';
import { columnMajor, contentsOf, type FoundTensor, numpyDtype } from './contents.ts';
import { PickleList, type PickleValue, readPickle } from './pickle.ts';
import { ELEMENT_BYTES, FormatError, readHeader } from './safetensors.ts';
import { statisticsOf } from './statistics.ts';
import { readZipEntries, type ZipEntry } from './zip.ts';

export type Read = (offset: number, length: number) => Uint8Array;

/** Tensors in the order of the file, each with where its elements are. */
export interface Inspection extends Omit<FileInspection, 'tensors' | 'tensorCount'> {
  tensors: PlacedTensor[];
}

export interface PlacedTensor extends InspectedTensor {
  /** Steps of its dimensions, in elements; null: row by row, as shapes are read. */
  stride: number[] | null;
  /** From its first to its last element; null: they cannot be had. */
  place: TensorPlace | null;
}

export type TensorPlace =
  | { offset: number; bytes: number }
  | { inline: Uint8Array }
  /** Packed: unpacked as a whole when asked for. May come in a wider type than the file says. */
  | { load(): { dtype: string; bytes: Uint8Array } };

/** A pickle is read as a whole: larger ones are no checkpoints with tensors beside it. */
const MAX_PICKLE_BYTES = 256 << 20;
const MAX_UNPACKED_BYTES = 1 << 30;
const MAX_NPY_HEADER_BYTES = 64 << 10;
const TORCH_LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const OTHER_BYTES: Record<string, number> = { C64: 8, C128: 16, F8_E4M3: 1, F8_E5M2: 1, QU8: 1, QI8: 1, QI32: 4 };

/** Throws FormatError when the file is of no format that is known, or damaged. HDF5 is read elsewhere. */
export function inspectFile(read: Read, bytes: number): Inspection {
  const start = Buffer.from(read(0, Math.min(bytes, 16)));
  if (start.length >= 4 && start.readUInt32LE(0) === 0x04034b50) return inspectZip(read, bytes);
  if (looksLikeSafetensors(start, bytes)) return inspectSafetensors(read, bytes);
  if (start[0] === 0x80 || start[0] === 0x28 || start[0] === 0x7d) return inspectPickle(read, bytes);
  throw new FormatError('it is of no format that is known here');
}

/** Reads every tensor once, in pieces. */
export function addStatistics(inspection: Inspection, read: Read): void {
  for (const tensor of inspection.tensors) {
    const { place, shape, stride } = tensor;
    if (!place || !isDense(shape, stride)) continue;
    const loaded = 'load' in place ? place.load() : null;
    tensor.statistics = statisticsOf(loaded?.dtype ?? tensor.dtype, loaded ? [loaded.bytes] : piecesOf(place, read));
  }
}

const PIECE_BYTES = 4 << 20;

function* piecesOf(place: TensorPlace, read: Read): Generator<Uint8Array> {
  if ('load' in place) return;
  if ('inline' in place) {
    yield place.inline;
    return;
  }
  for (let done = 0; done < place.bytes; done += PIECE_BYTES)
    yield read(place.offset + done, Math.min(PIECE_BYTES, place.bytes - done));
}

// ---- safetensors ----

function looksLikeSafetensors(start: Buffer, bytes: number): boolean {
  if (start.length < 9) return false;
  const header = start.readBigUInt64LE(0);
  return header > 1n && header < BigInt(bytes) && start[8] === 0x7b;
}

function inspectSafetensors(read: Read, bytes: number): Inspection {
  const { tensors, metadata } = readHeader(read, bytes);
  return {
    format: 'safetensors',
    bytes,
    version: typeof metadata.format === 'string' ? metadata.format : null,
    tensors: tensors.map(({ name, dtype, shape, offset, bytes: size }) => ({
      name,
      dtype,
      shape,
      bytes: size,
      tiedTo: null,
      statistics: null,
      stride: null,
      place: { offset, bytes: size },
    })),
    elements: tensors.reduce((sum, { shape }) => sum + product(shape), 0),
    values: Object.entries(metadata).map(([name, value]) => ({ name, value: String(value).slice(0, 200) })),
    classes: [],
    notes: [],
  };
}

// ---- zips: torch, NumPy, Keras ----

function inspectZip(read: Read, bytes: number): Inspection {
  const entries = readZipEntries(read, bytes);
  const byName = new Map(entries.map((entry) => [entry.name, entry]));
  const pickle = entries.find(({ name }) => /(^|\/)data\.pkl$/.test(name));
  if (pickle) return inspectTorch(read, bytes, byName, pickle);
  if (entries.some(({ name }) => name.endsWith('.npy'))) return inspectNpz(read, bytes, entries);
  throw new FormatError('it is a zip file, but none of torch or NumPy');
}

function inspectTorch(read: Read, bytes: number, entries: Map<string, ZipEntry>, pickle: ZipEntry): Inspection {
  const prefix = pickle.name.slice(0, -'data.pkl'.length);
  if (pickle.bytes > MAX_PICKLE_BYTES) throw new FormatError('its structure is too large to be read');
  const contents = contentsOf(readPickle(entryBytes(read, pickle, MAX_PICKLE_BYTES)).value);
  const notes = contents.truncated
    ? ['The file holds more than is shown: its structure is too deep or too large.']
    : [];
  if (entries.has(`${prefix}constants.pkl`)) notes.push('It is a TorchScript model: its code is not shown.');
  const tensors = placed(contents.tensors, (storage) => {
    const entry = entries.get(`${prefix}data/${storage}`);
    return entry && entry.method === 0 ? { offset: entry.offset, bytes: entry.bytes } : null;
  });
  return { format: 'torch', bytes, version: versionOf(contents.values), ...tensors, ...shown(contents), notes };
}

/** Lightning and Transformers say which they are; torch itself does not. */
function versionOf(values: readonly { name: string; value: unknown }[]): string | null {
  const found = values.find(({ name }) =>
    /^(pytorch-lightning_version|lightning_version|transformers_version)$/.test(name),
  );
  return found ? `${found.name.replace('_version', '')} ${found.value}` : null;
}

function entryBytes(read: Read, entry: ZipEntry, limit: number): Uint8Array {
  const stored = read(entry.offset, entry.storedBytes);
  if (entry.method === 0) return stored;
  if (entry.method !== 8) throw new FormatError('it is compressed in a way that is not known');
  try {
    return inflateRawSync(stored, { maxOutputLength: Math.min(limit, Math.max(1, entry.bytes)) });
  } catch {
    throw new FormatError(`its entry ${entry.name.slice(0, 80)} cannot be unpacked`);
  }
}

function inspectNpz(read: Read, bytes: number, entries: readonly ZipEntry[]): Inspection {
  const tensors: PlacedTensor[] = [];
  const classes = new Map<string, number>();
  for (const entry of entries) {
    if (!entry.name.endsWith('.npy')) continue;
    const head =
      entry.method === 0
        ? read(entry.offset, Math.min(entry.bytes, MAX_NPY_HEADER_BYTES))
        : inflateStart(read(entry.offset, Math.min(entry.storedBytes, MAX_NPY_HEADER_BYTES)));
    const npy = readNpyHeader(head);
    const name = entry.name.slice(0, -4);
    if (!npy) {
      classes.set('an array of Python objects', (classes.get('an array of Python objects') ?? 0) + 1);
      continue;
    }
    const size = product(npy.shape) * bytesOf(npy.dtype);
    if (entry.bytes < npy.dataOffset + size) throw new FormatError(`its array ${name.slice(0, 80)} breaks off`);
    tensors.push({
      name,
      dtype: npy.dtype,
      shape: npy.shape,
      bytes: size,
      tiedTo: null,
      statistics: null,
      stride: npy.fortran ? columnMajor(npy.shape) : null,
      place:
        entry.method === 0
          ? { offset: entry.offset + npy.dataOffset, bytes: size }
          : {
              load: () => ({
                dtype: npy.dtype,
                bytes: entryBytes(read, entry, MAX_UNPACKED_BYTES).subarray(npy.dataOffset, npy.dataOffset + size),
              }),
            },
    });
  }
  return {
    format: 'npz',
    bytes,
    version: null,
    tensors,
    elements: tensors.reduce((sum, { shape }) => sum + product(shape), 0),
    values: [],
    classes: [...classes].map(([name, count]) => ({ name, count })),
    notes: [],
  };
}

/** As much as the first bytes give; an array's header is at its start. */
function inflateStart(stored: Uint8Array): Uint8Array {
  try {
    return inflateRawSync(stored, { maxOutputLength: 1 << 20, finishFlush: 2 });
  } catch {
    throw new FormatError('an array cannot be unpacked');
  }
}

/** Null: an array of Python objects, which is a pickle. */
function readNpyHeader(
  bytes: Uint8Array,
): { dtype: string; shape: number[]; fortran: boolean; dataOffset: number } | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || buffer.toString('latin1', 1, 6) !== 'NUMPY')
    throw new FormatError('an array has no header');
  const wide = buffer[6]! >= 2;
  const length = wide ? buffer.readUInt32LE(8) : buffer.readUInt16LE(8);
  const start = wide ? 12 : 10;
  if (start + length > buffer.length) throw new FormatError('an array’s header breaks off');
  const text = buffer.toString('latin1', start, start + length);
  const descr = /'descr':\s*'([^']+)'/.exec(text)?.[1];
  const shape = /'shape':\s*\(([\d,\s]*)\)/.exec(text)?.[1];
  if (descr === undefined || shape === undefined || descr.includes('O')) return null;
  const sizes = shape
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean)
    .map(Number);
  if (!sizes.every(Number.isSafeInteger)) throw new FormatError('an array has an impossible shape');
  const fortran = /'fortran_order':\s*True/.test(text);
  return { dtype: numpyDtype(descr), shape: sizes, fortran, dataOffset: start + length };
}

// ---- pickles: Paddle, and torch before 1.6 ----

function inspectPickle(read: Read, bytes: number): Inspection {
  // Paddle's arrays are in the pickle; beyond this they would not fit into memory as one.
  if (bytes > MAX_PICKLE_BYTES * 8) throw new FormatError('it is a pickle too large to be read');
  const all = read(0, bytes);
  const first = readPickle(all);
  if (first.value === TORCH_LEGACY_MAGIC) return inspectLegacyTorch(all, first.end);
  const contents = contentsOf(first.value);
  const { tensors, elements } = placed(contents.tensors, () => null);
  return {
    format: 'pickle',
    bytes,
    version: null,
    tensors,
    elements,
    ...shown(contents),
    notes: contents.truncated ? ['The file holds more than is shown.'] : [],
  };
}

/** Magic number, protocol, machine, the object, keys of storages, then each storage: its length and its elements. */
function inspectLegacyTorch(all: Uint8Array, start: number): Inspection {
  let at = start;
  const next = (): PickleValue => {
    const { value, end } = readPickle(all, at);
    at = end;
    return value;
  };
  next();
  next();
  const root = next();
  const keys = next();
  const contents = contentsOf(root);
  const places = new Map<string, { offset: number; bytes: number }>();
  const sizes = new Map(contents.tensors.map((tensor) => [tensor.storage, bytesOf(tensor.dtype)]));
  const view = Buffer.from(all.buffer, all.byteOffset, all.byteLength);
  if (keys instanceof PickleList) {
    for (const key of keys.items) {
      if (at + 8 > view.length) throw new FormatError('its storages break off');
      const size = Number(view.readBigInt64LE(at)) * (sizes.get(String(key)) ?? 1);
      if (size < 0 || at + 8 + size > view.length) throw new FormatError('its storages break off');
      places.set(String(key), { offset: at + 8, bytes: size });
      at += 8 + size;
    }
  }
  const tensors = placed(contents.tensors, (storage) => places.get(storage) ?? null);
  return { format: 'torch (before 1.6)', bytes: all.length, version: null, ...tensors, ...shown(contents), notes: [] };
}

// ---- common ----

type Place = { offset: number; bytes: number };

/** Tensors with their sizes and ties; `find` tells where a storage lies. */
function placed(
  found: readonly FoundTensor[],
  find: (storage: string) => Place | null,
): Pick<Inspection, 'tensors' | 'elements'> {
  const firsts = new Map<string, string>();
  let elements = 0;
  const tensors = found.map((tensor): PlacedTensor => {
    const { name, dtype, shape, stride, offset, storage, inline } = tensor;
    const count = product(shape);
    const size = bytesOf(dtype);
    const at = storage === null ? null : find(storage);
    const reach = spanOf(shape, stride) * size;
    if (at && offset * size + reach > at.bytes)
      throw new FormatError(`tensor "${name.slice(0, 80)}" lies outside of its storage`);
    const key = storage === null ? null : `${storage}/${offset}/${shape}/${stride}`;
    const tiedTo = (key !== null && firsts.get(key)) || null;
    if (key !== null && tiedTo === null) firsts.set(key, name);
    if (tiedTo === null) elements += count;
    return {
      name,
      dtype,
      shape,
      bytes: count * size,
      tiedTo,
      statistics: null,
      stride: stride && !isRowMajor(shape, stride) ? stride : null,
      place: inline ? { inline } : at ? { offset: at.offset + offset * size, bytes: reach } : null,
    };
  });
  return { tensors, elements };
}

function shown(contents: ReturnType<typeof contentsOf>): Pick<Inspection, 'values' | 'classes'> {
  return { values: contents.values, classes: [...contents.classes].map(([name, count]) => ({ name, count })) };
}

/** Elements from the first to the last one in memory. */
function spanOf(shape: readonly number[], stride: readonly number[] | null): number {
  const count = product(shape);
  if (!stride || count === 0) return count;
  return shape.reduce((span, size, i) => span + (size - 1) * (stride[i] ?? 0), 1);
}

function isRowMajor(shape: readonly number[], stride: readonly number[]): boolean {
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && stride[i] !== step) return false;
    step *= shape[i]!;
  }
  return true;
}

/** Whether its elements fill one piece of memory, in whatever order. */
export function isDense(shape: readonly number[], stride: readonly number[] | null): boolean {
  if (!stride) return true;
  const order = shape.map((size, i) => ({ size, step: stride[i] ?? 0 })).filter(({ size }) => size !== 1);
  order.sort((a, b) => a.step - b.step);
  let step = 1;
  for (const dimension of order) {
    if (dimension.step !== step) return false;
    step *= dimension.size;
  }
  return true;
}

export function bytesOf(dtype: string): number {
  return ELEMENT_BYTES[dtype] ?? OTHER_BYTES[dtype] ?? 1;
}

function product(shape: readonly number[]): number {
  const count = shape.reduce((a, b) => a * b, 1);
  if (!Number.isSafeInteger(count)) throw new FormatError('a tensor has an impossible shape');
  return count;
}
