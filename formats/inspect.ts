/**
 * Inspects a checkpoint file of any format: its contents, and its tensors to read. Listing tensors reads none of them.
 */
import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { Budget } from './budget.ts';
import { elementBytes } from './dtypes.ts';
import { FormatError, UnknownFormat } from './format-error.ts';
import { HDF5_SIGNATURE, openHdf5 } from './hdf5.ts';
import { blankInspection, checkedCount, type Inspection, type OpenedFile } from './inspection.ts';
import { inspectNpz } from './npz.ts';
import { inflate } from './packed.ts';
import { readHeader } from './safetensors-reader.ts';
import { inspectTensorflowIndex, looksLikeTensorflowIndex } from './tensorflow-index.ts';
import { inspectPickle, inspectTorch } from './torch-file.ts';
import { checkMethod } from './unpacked.ts';
import type { Read } from './window.ts';
import { dataOffset, readZip, startsLikeZip, type ZipEntry, type ZipFile } from './zip.ts';

const MAX_UNPACKED_BYTES = 2 ** 32;
const MAX_CONFIG_BYTES = 16 << 20;
const MAX_TEXT = 200;
const PROTO = 0x80;
const MARK = 0x28;
const EMPTY_DICT = 0x7d;

/** Opens a file. Throws FormatError when its format is unknown, or it is damaged. */
export async function openFile(read: Read, bytes: number, budget = new Budget()): Promise<OpenedFile> {
  const start = Buffer.from(read(0, Math.min(bytes, 16)));
  if (HDF5_SIGNATURE.equals(start.subarray(0, 8))) return openHdf5(read, bytes, { format: 'hdf5', budget });
  if (startsLikeZip(read, bytes)) return openZip(read, bytes, budget);
  return { inspection: inspectPlain(read, bytes, start, budget), close: () => {} };
}

function inspectPlain(read: Read, bytes: number, start: Buffer, budget: Budget): Inspection {
  if (bytes === 0) throw new FormatError('it is empty');
  if (looksLikeSafetensors(start)) return inspectSafetensors(read, bytes, budget);
  if (looksLikeTensorflowIndex(read, bytes)) return inspectTensorflowIndex(read, bytes, budget);
  if ([PROTO, MARK, EMPTY_DICT].includes(start[0]!)) return inspectPickle(read, bytes, budget);
  throw new UnknownFormat('its format is unknown');
}

/** Tells whether a plausible length and the brace of a header come first. */
function looksLikeSafetensors(start: Buffer): boolean {
  if (start.length < 9) return false;
  const header = start.readBigUInt64LE(0);
  return header > 1n && header < 1n << 40n && start[8] === 0x7b;
}

function inspectSafetensors(read: Read, bytes: number, budget: Budget): Inspection {
  const { tensors, metadata, dataOffset: start } = readHeader(read, bytes, { budget });
  const texts = Object.entries(metadata);
  const held = tensors.reduce((sum, tensor) => sum + tensor.bytes, start);
  const unknown = tensors.filter(({ dtype }) => elementBytes(dtype) === null && !/^F[46]/.test(dtype));
  return {
    ...blankInspection('safetensors', bytes),
    version: metadata.format ?? null,
    tensors: tensors.map(({ name, dtype, shape, offset, bytes: size }) => ({
      name,
      dtype,
      shape,
      bytes: size,
      tiedTo: null,
      stride: null,
      place: { offset, bytes: size },
      remark: null,
    })),
    elements: tensors.reduce((sum, { shape }) => sum + checkedCount(shape), 0),
    values: texts.map(([name, text]) => ({ name, value: text.slice(0, MAX_TEXT) })),
    valueCount: texts.length,
    notes: [
      ...(held < bytes
        ? [
            `${(bytes - held).toLocaleString('en-US')} bytes of it belong to no tensor, so the safetensors library refuses it.`,
          ]
        : []),
      ...(unknown.length > 0 ? [`${unknown.length} tensors have unknown types.`] : []),
    ],
  };
}

async function openZip(read: Read, bytes: number, budget: Budget): Promise<OpenedFile> {
  const zip = readZip(read, bytes, budget);
  const weights = zip.entries.find(({ name }) => basename(name) === 'model.weights.h5');
  if (weights) return openKeras(read, bytes, weights, zip, budget);
  const inspection = inspectTorch(read, bytes, zip, budget) ?? inspectNpz(read, bytes, zip, budget);
  if (inspection === null) throw new UnknownFormat('it is a zip file, but not one of torch, NumPy or Keras');
  return { inspection, close: () => {} };
}

/** Opens a `.keras` file, which is a zip with an HDF5 file in it. */
async function openKeras(
  read: Read,
  bytes: number,
  entry: ZipEntry,
  zip: ZipFile,
  budget: Budget,
): Promise<OpenedFile> {
  checkMethod(entry);
  const inside = entry.method === 0 ? storedEntry(read, bytes, entry) : await unpackedFile(read, bytes, entry);
  try {
    const { inspection, close } = await openHdf5(inside.read, entry.bytes, { format: 'keras', budget });
    return {
      inspection: { ...inspection, bytes, notes: [...inspection.notes, ...notesOnConfig(read, bytes, zip)] },
      close: () => {
        close();
        inside.close();
      },
    };
  } catch (error) {
    inside.close();
    throw error;
  }
}

/** Warns about a Lambda layer: it is code of the file's author, which Keras runs when it loads the file. */
function notesOnConfig(read: Read, bytes: number, { entries }: ZipFile): string[] {
  const config = entries.find(({ name }) => name === 'config.json');
  if (config?.method !== 0 || config.bytes > MAX_CONFIG_BYTES) return [];
  const text = Buffer.from(read(dataOffset(read, config, bytes), config.bytes)).toString('utf8');
  return text.includes('"__lambda__"')
    ? ['One of its layers is code (Lambda), which Keras would run when it loads the file.']
    : [];
}

interface InnerFile {
  read: Read;
  close(): void;
}

function storedEntry(read: Read, bytes: number, entry: ZipEntry): InnerFile {
  const offset = dataOffset(read, entry, bytes);
  return { read: (at, length) => read(offset + at, Math.max(0, Math.min(length, entry.bytes - at))), close: () => {} };
}

/** Unpacks an entry to a disk, since it is read in any order and may be larger than memory. */
async function unpackedFile(read: Read, bytes: number, entry: ZipEntry): Promise<InnerFile> {
  if (entry.bytes > MAX_UNPACKED_BYTES) throw new FormatError('its weights are too large to be unpacked');
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-open-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const file = openSync(join(folder, 'weights.h5'), 'wx+', 0o600);
    const close = () => {
      closeSync(file);
      remove();
    };
    let written = 0;
    for await (const piece of inflate(read, dataOffset(read, entry, bytes), entry.storedBytes)) {
      written += piece.length;
      if (written > entry.bytes) {
        close();
        throw new FormatError('it unpacks to more bytes than it claims');
      }
      writeSync(file, piece);
    }
    const buffer = Buffer.allocUnsafe(1 << 20);
    return {
      read: (at, length) => {
        const target = length <= buffer.length ? buffer.subarray(0, length) : Buffer.allocUnsafe(length);
        return target.subarray(0, readSync(file, target, 0, length, at));
      },
      close,
    };
  } catch (error) {
    remove();
    throw error;
  }
}
