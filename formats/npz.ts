/** Reads NumPy's archive of arrays. Source: numpy/lib/format.py. */
import type { Budget } from './budget.ts';
import { bytesOf, elementBytes } from './dtypes.ts';
import { FormatError } from './format-error.ts';
import { blankInspection, checkedCount, type Inspection, type PlacedTensor, type TensorPlace } from './inspection.ts';
import { inflated } from './packed.ts';
import { numpyDtype } from './pickled-tensors.ts';
import { columnMajor } from './strides.ts';
import { checkMethod, unpackedStart } from './unpacked.ts';
import type { Read } from './window.ts';
import { dataOffset, type ZipEntry, type ZipFile } from './zip.ts';

const MAX_HEADER_BYTES = 64 << 10;
const MAX_DIMENSIONS = 64;
const TENSOR_COST = 400;
/** Arrays that are no tensors, as they are named in the list of classes. */
type Other = 'an array of Python objects' | 'an array of records' | 'an array whose header is not understood';

/** Inspects an archive; null: there is no array in it. */
export function inspectNpz(read: Read, bytes: number, { entries }: ZipFile, budget: Budget): Inspection | null {
  const arrays = entries.filter(({ name }) => name.endsWith('.npy'));
  if (arrays.length === 0) return null;
  const inspection = blankInspection('npz', bytes);
  const others = new Map<Other, number>();
  for (const entry of arrays) {
    budget.spend(TENSOR_COST + entry.name.length);
    const tensor = arrayIn(read, bytes, entry);
    if (typeof tensor === 'string') others.set(tensor, (others.get(tensor) ?? 0) + 1);
    else {
      inspection.tensors.push(tensor);
      inspection.elements += checkedCount(tensor.shape);
    }
  }
  for (const [name, count] of others) inspection.classes.push({ name, count });
  return inspection;
}

function arrayIn(read: Read, fileBytes: number, entry: ZipEntry): PlacedTensor | Other {
  checkMethod(entry);
  const header = readHeader(unpackedStart(read, fileBytes, entry, MAX_HEADER_BYTES));
  if (typeof header === 'string') return header;
  const name = entry.name.slice(0, -4);
  const { descr, shape, isFortran, dataStart } = header;
  const dtype = numpyDtype(descr);
  const bytes = bytesOf(dtype, checkedCount(shape));
  if (bytes !== null && entry.bytes < dataStart + bytes)
    throw new FormatError(`its array "${name.slice(0, 80)}" is truncated`);
  const swapped = descr.startsWith('>') ? (elementBytes(dtype) ?? 1) : 1;
  const place = (): TensorPlace | null => {
    if (bytes === null) return null;
    const offset = dataOffset(read, entry, fileBytes);
    if (entry.method === 0 && swapped === 1) return { offset: offset + dataStart, bytes };
    const stored = { offset, storedBytes: entry.storedBytes };
    return inflated(read, stored, { skip: dataStart, bytes, swapped, isPacked: entry.method !== 0 });
  };
  return {
    name,
    dtype,
    shape,
    bytes,
    tiedTo: null,
    stride: isFortran ? columnMajor(shape) : null,
    place: place(),
    remark: null,
  };
}

interface ArrayHeader {
  descr: string;
  shape: number[];
  isFortran: boolean;
  /** Offset of the elements in the entry. */
  dataStart: number;
}

function readHeader(bytes: Uint8Array): ArrayHeader | Other {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (buffer.length < 12 || buffer.toString('latin1', 1, 6) !== 'NUMPY')
    throw new FormatError('an array has no header');
  const isWide = buffer[6]! >= 2;
  const length = isWide ? buffer.readUInt32LE(8) : buffer.readUInt16LE(8);
  const start = isWide ? 12 : 10;
  if (start + length > buffer.length) throw new FormatError('an array’s header is truncated');
  const text = buffer.toString('latin1', start, start + length);
  const descr = /'descr':\s*'([^']{1,40})'/.exec(text)?.[1];
  // Python 2 wrote sizes as `3L`.
  const shape = /'shape':\s*\(([\dL,\s]*)\)/.exec(text)?.[1];
  if (/'descr':\s*\[/.test(text)) return 'an array of records';
  // A pickle.
  if (descr?.includes('O')) return 'an array of Python objects';
  if (descr === undefined || shape === undefined) return 'an array whose header is not understood';
  const sizes = shape
    .split(',')
    .map((part) => part.trim().replace(/L$/, ''))
    .filter(Boolean)
    .map(Number);
  if (sizes.length > MAX_DIMENSIONS || !sizes.every(Number.isSafeInteger))
    throw new FormatError('an array has an impossible shape');
  return { descr, shape: sizes, isFortran: /'fortran_order':\s*True/.test(text), dataStart: start + length };
}
