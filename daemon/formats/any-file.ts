/** Whatever checkpoint file it is: what it holds, and its tensors to read. */
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { inflateRawSync } from 'node:zlib';
import { openHdf5 } from './hdf5.ts';
import { type Inspection, inspectFile, type Read } from './inspect.ts';
import { FormatError } from './safetensors.ts';
import { readZipEntries, type ZipEntry } from './zip.ts';

export interface AnyFile {
  inspection: Inspection;
  /** Until then its tensors can be read. */
  close(): void;
}

const MAX_UNPACKED_BYTES = 2 ** 32;
const COPY_BYTES = 4 << 20;
const HDF5_SIGNATURE = Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]);

/** `path`: where the file lies on a disk, if it does: HDF5 is read by a library that wants one. Throws FormatError. */
export async function openAnyFile(read: Read, bytes: number, path: string | null): Promise<AnyFile> {
  if (HDF5_SIGNATURE.equals(read(0, 8))) {
    if (path !== null) return ofHdf5('hdf5', bytes, path, () => {});
    return ofCopy('hdf5', bytes, (file) => copyStored(read, 0, bytes, file));
  }
  const weights = kerasWeights(read, bytes);
  if (weights) return ofCopy('keras', bytes, (file) => copyEntry(read, weights, file));
  return { inspection: inspectFile(read, bytes), close: () => {} };
}

async function ofHdf5(format: 'hdf5' | 'keras', bytes: number, path: string, closed: () => void): Promise<AnyFile> {
  const { tensors, values, close } = await openHdf5(path);
  const version = values.find(({ name }) => name === 'keras_version')?.value;
  return {
    inspection: {
      format,
      bytes,
      version: version === undefined ? null : `keras ${version}`,
      tensors,
      elements: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
      values,
      classes: [],
      notes: [],
    },
    close: () => {
      close();
      closed();
    },
  };
}

async function ofCopy(format: 'hdf5' | 'keras', bytes: number, copy: (file: number) => void): Promise<AnyFile> {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-open-'));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const path = join(folder, 'weights.h5');
    const file = openSync(path, 'wx', 0o600);
    try {
      copy(file);
    } finally {
      closeSync(file);
    }
    return await ofHdf5(format, bytes, path, remove);
  } catch (error) {
    remove();
    throw error;
  }
}

/** A `.keras` file is a zip with an HDF5 file in it. */
function kerasWeights(read: Read, bytes: number): ZipEntry | null {
  if (bytes < 4 || Buffer.from(read(0, 4)).readUInt32LE(0) !== 0x04034b50) return null;
  return readZipEntries(read, bytes).find(({ name }) => basename(name) === 'model.weights.h5') ?? null;
}

function copyEntry(read: Read, entry: ZipEntry, file: number): void {
  if (entry.bytes > MAX_UNPACKED_BYTES) throw new FormatError('its weights are too large to be unpacked');
  if (entry.method === 0) copyStored(read, entry.offset, entry.bytes, file);
  else writeFileSync(file, inflateRawSync(read(entry.offset, entry.storedBytes), { maxOutputLength: COPY_BYTES * 64 }));
}

function copyStored(read: Read, offset: number, bytes: number, file: number): void {
  for (let at = 0; at < bytes; at += COPY_BYTES)
    writeFileSync(file, read(offset + at, Math.min(COPY_BYTES, bytes - at)));
}
