/**
 * Entry of the thread that looks into one file: `workerData` is an InspectRequest. A thread, since its memory is bounded and
 * it can be ended: files come from anybody.
 */
import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import { inflateRawSync } from 'node:zlib';
import type { FileInspection } from '../../protocol/domain.ts';
import { inspectHdf5 } from './hdf5.ts';
import { addStatistics, type Inspection, inspectFile, type Read } from './inspect.ts';
import { FormatError } from './safetensors.ts';
import { readZipEntries, type ZipEntry } from './zip.ts';

export interface InspectRequest {
  path: string;
  statistics: boolean;
}

/** `changed`: it was written while it was read. */
export type InspectAnswer = { inspection: FileInspection } | { problem: string; changed: boolean };

const MAX_TENSORS = 5_000;
const MAX_UNPACKED_BYTES = 2 ** 32;
const COPY_BYTES = 4 << 20;
const HDF5_SIGNATURE = Buffer.from([0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a]);

parentPort!.postMessage(await answer(workerData as InspectRequest));

async function answer({ path, statistics }: InspectRequest): Promise<InspectAnswer> {
  try {
    const file = openSync(path, 'r');
    try {
      const before = fstatSync(file, { bigint: true });
      const inspection = await inspect(path, file, Number(before.size), statistics);
      const [after, now] = [fstatSync(file, { bigint: true }), statSync(path, { bigint: true })];
      const same = after.mtimeNs === before.mtimeNs && after.size === before.size && now.ino === before.ino;
      return same ? { inspection } : { problem: 'it was written while it was read', changed: true };
    } finally {
      closeSync(file);
    }
  } catch (error) {
    if (error instanceof FormatError || error instanceof RangeError) return { problem: error.message, changed: false };
    const { code, message } = error as NodeJS.ErrnoException;
    return { problem: code === 'ENOENT' ? 'there is no such file' : message, changed: false };
  }
}

async function inspect(path: string, file: number, bytes: number, statistics: boolean): Promise<FileInspection> {
  if (!fstatSync(file).isFile()) throw new FormatError('it is no file');
  const read: Read = (offset, length) => {
    const buffer = Buffer.allocUnsafe(Math.max(0, Math.min(length, bytes - offset)));
    return buffer.subarray(0, readSync(file, buffer, 0, buffer.length, offset));
  };
  if (HDF5_SIGNATURE.equals(read(0, 8))) return ofHdf5('hdf5', bytes, path, statistics);
  const weights = kerasWeights(read, bytes);
  if (weights) return unpacked(read, weights, (copy) => ofHdf5('keras', bytes, copy, statistics));
  const inspection = inspectFile(read, bytes);
  if (statistics) addStatistics(inspection, read);
  return cutShort(inspection);
}

async function ofHdf5(
  format: 'hdf5' | 'keras',
  bytes: number,
  path: string,
  statistics: boolean,
): Promise<FileInspection> {
  const { tensors, values } = await inspectHdf5(path, statistics);
  const version = values.find(({ name }) => name === 'keras_version')?.value;
  return {
    format,
    bytes,
    version: version === undefined ? null : `keras ${version}`,
    tensors: tensors.slice(0, MAX_TENSORS),
    tensorCount: tensors.length,
    elements: tensors.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0),
    values,
    classes: [],
    notes: [],
  };
}

function cutShort({ tensors, ...rest }: Inspection): FileInspection {
  const shown = tensors.slice(0, MAX_TENSORS).map(({ place: _, ...tensor }) => tensor);
  return { ...rest, tensors: shown, tensorCount: tensors.length };
}

/** A `.keras` file is a zip with an HDF5 file in it. */
function kerasWeights(read: Read, bytes: number): ZipEntry | null {
  if (bytes < 4 || Buffer.from(read(0, 4)).readUInt32LE(0) !== 0x04034b50) return null;
  return readZipEntries(read, bytes).find(({ name }) => basename(name) === 'model.weights.h5') ?? null;
}

async function unpacked<T>(read: Read, entry: ZipEntry, work: (path: string) => Promise<T>): Promise<T> {
  if (entry.bytes > MAX_UNPACKED_BYTES) throw new FormatError('its weights are too large to be unpacked');
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-inspect-'));
  try {
    const path = join(folder, 'weights.h5');
    const copy = openSync(path, 'wx', 0o600);
    try {
      if (entry.method === 0)
        for (let at = 0; at < entry.bytes; at += COPY_BYTES)
          writeSync(copy, read(entry.offset + at, Math.min(COPY_BYTES, entry.bytes - at)));
      else writeSync(copy, inflateRawSync(read(entry.offset, entry.storedBytes), { maxOutputLength: COPY_BYTES * 64 }));
    } finally {
      closeSync(copy);
    }
    return await work(path);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
