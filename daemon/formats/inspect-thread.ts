/**
 * Entry of the thread that looks into one file: `workerData` is an InspectRequest. A thread, since its memory is bounded and
 * it can be ended: files come from anybody.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import * as v from 'valibot';
import type { FileInspection } from '../../protocol/domain.ts';
import type { Ingredient } from '../../protocol/ingredients.ts';
import { CHECKPOINT_FILE, checkpointFileSchema } from '../../protocol/session.ts';
import { openAnyFile } from './any-file.ts';
import { addStatistics, type Inspection, type Read } from './inspect.ts';
import { FormatError } from './safetensors.ts';

export interface InspectRequest {
  path: string;
  statistics: boolean;
}

/** `changed`: it was written while it was read. */
export type InspectAnswer = { inspection: FileInspection } | { problem: string; changed: boolean };

const MAX_TENSORS = 5_000;

parentPort!.postMessage(await answer(workerData as InspectRequest));

async function answer({ path, statistics }: InspectRequest): Promise<InspectAnswer> {
  try {
    const file = openSync(path, 'r');
    try {
      const before = fstatSync(file, { bigint: true });
      const inspection = await inspect(path, file, Number(before.size), statistics);
      const [after, now] = [fstatSync(file, { bigint: true }), statSync(path, { bigint: true })];
      const same = after.mtimeNs === before.mtimeNs && after.size === before.size && now.ino === before.ino;
      if (same) return { inspection: { ...inspection, ingredients: ingredientsBeside(path) } };
      return { problem: 'it was written while it was read', changed: true };
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
  const opened = await openAnyFile(read, bytes, path);
  try {
    if (statistics) addStatistics(opened.inspection, read);
    return cutShort(opened.inspection);
  } finally {
    opened.close();
  }
}

function cutShort({ tensors, ...rest }: Inspection): FileInspection {
  const shown = tensors.slice(0, MAX_TENSORS).map(({ place: _, stride: __, ...tensor }) => tensor);
  return { ...rest, tensors: shown, tensorCount: tensors.length };
}

/** Facts of a checkpoint that lie beside its files, as in a session's inbox; null where there are none. */
function ingredientsBeside(path: string): Ingredient[] | null {
  try {
    const facts = JSON.parse(readFileSync(join(dirname(path), CHECKPOINT_FILE), 'utf8'));
    const parsed = v.safeParse(checkpointFileSchema, facts);
    const isOne = parsed.success && parsed.output.files.some(({ name }) => name === basename(path));
    return isOne ? (parsed.output.ingredients ?? null) : null;
  } catch {
    return null;
  }
}
