/** Computes the size of an export before its first byte is written. */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import { bytes as sizeText } from '../../protocol/words.ts';
import type { StoredTensor, TensorSource } from './stored-tensors.ts';

/**
 * Limits on repeated memory: tensors that share memory are each written in full, and ordinary files have few of them.
 */
const MAX_REPEATS = 4;
const ALWAYS_ALLOWED_BYTES = 256 << 20;

/**
 * Returns the total size of all tensors when written. Throws `refused` when that is far more than the checkpoint holds:
 * views of the same memory can turn a small file into terabytes.
 */
export function checkSize(tensors: readonly StoredTensor[], refused: (why: string) => TrainstashError): number {
  const total = tensors.reduce((sum, { bytes }) => sum + bytes!, 0);
  const stored = storedBytes(tensors);
  if (total > stored * MAX_REPEATS + ALWAYS_ALLOWED_BYTES)
    throw refused(
      `its tensors are views of the same memory: written in full they would take ${sizeText(total)}, but the checkpoint holds only ${sizeText(stored)}`,
    );
  return total;
}

/** Throws `outputUnusable` where the disk does not have enough space. */
export function checkFreeSpace(path: string, total: number): void {
  let free: number;
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    free = bavail * bsize;
  } catch {
    return; // A file system that does not say.
  }
  if (total <= free) return;
  const problem = `it would take ${sizeText(total)}, and the disk has ${sizeText(free)} left`;
  throw new TrainstashError('outputUnusable', `Nothing was exported: ${problem}.`, { path, problem });
}

/** Returns the stored size of the tensors, each byte counted once. */
function storedBytes(tensors: readonly StoredTensor[]): number {
  let held = 0;
  const bySource: Map<TensorSource, StoredTensor[]> = Map.groupBy(tensors, ({ source }) => source);
  for (const own of bySource.values()) {
    const places = own.map(({ place }) => place!).sort((a, b) => a.offset - b.offset);
    let end = 0;
    for (const { offset, bytes } of places) {
      held += Math.max(0, offset + bytes - Math.max(end, offset));
      end = Math.max(end, offset + bytes);
    }
  }
  return held;
}
