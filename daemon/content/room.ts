/** How large an export becomes, known before its first byte is written. */
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { TrainstashError } from '../../protocol/errors.ts';
import { bytes as sizeText } from '../../protocol/words.ts';
import type { StoredTensor, TensorSource } from './stored-tensors.ts';

/** Tensors that share memory are written out each: honest ones are a few, over the same weights. */
const MOST_REPEATS = 4;
const ALWAYS_BYTES = 256 << 20;

/**
 * Bytes of all tensors, written out. Throws `refused` when that is far more than the checkpoint holds: views of the same
 * memory can make terabytes of a small file.
 */
export function checkSize(tensors: readonly StoredTensor[], refused: (why: string) => TrainstashError): number {
  const total = tensors.reduce((sum, { bytes }) => sum + bytes!, 0);
  const held = heldBytes(tensors);
  if (total > held * MOST_REPEATS + ALWAYS_BYTES)
    throw refused(
      `its tensors are views of the same memory: written out they would take ${sizeText(total)}, and it holds ${sizeText(held)} of them`,
    );
  return total;
}

/** Throws `outputUnusable` where the disk has not that much room. */
export function checkRoom(path: string, total: number): void {
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

/** What the tensors take where they lie, each byte counted once. */
function heldBytes(tensors: readonly StoredTensor[]): number {
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
