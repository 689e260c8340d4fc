/** Files in memory, read as the daemon reads those on a disk. */
import { openFile } from '../../formats/inspect.ts';
import type { Inspection, PlacedTensor } from '../../formats/inspection.ts';
import { statisticsOf } from '../../formats/statistics.ts';
import type { Read } from '../../formats/window.ts';

export const readOf =
  (bytes: Buffer): Read =>
  (offset, length) =>
    bytes.subarray(offset, Math.max(offset, offset + length));

export async function look(bytes: Buffer): Promise<Inspection> {
  const { inspection, close } = await openFile(readOf(bytes), bytes.length);
  close();
  return inspection;
}

export async function statistics(bytes: Buffer, name: string) {
  const { inspection, close } = await openFile(readOf(bytes), bytes.length);
  const found = await statisticsOf(named(inspection, name), readOf(bytes));
  close();
  return found;
}

export function named({ tensors }: Inspection, name: string): PlacedTensor {
  return tensors.find((tensor) => tensor.name === name)!;
}
