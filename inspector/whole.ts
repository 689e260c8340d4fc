/** Checks whether files of a checkpoint are complete. */
import { closeSync } from 'node:fs';
import { isWhole } from '../formats/whole.ts';
import { inBlocks } from './blocks.ts';
import { openRegular, readerOf } from './regular-file.ts';
import type { WholeRequest } from './requests.ts';

/** Returns the index of the first file that is truncated or gone; null: all are complete. */
export function firstIncomplete({ files }: WholeRequest): number | null {
  const at = files.findIndex(({ path, name, bytes }) => {
    let file: number;
    try {
      ({ file } = openRegular(path));
    } catch {
      return true;
    }
    try {
      return !isWhole(name, inBlocks(readerOf(file), bytes), bytes);
    } finally {
      closeSync(file);
    }
  });
  return at < 0 ? null : at;
}
