/** Whether files of a checkpoint are complete. */
import { closeSync } from 'node:fs';
import { isWhole } from '../formats/whole.ts';
import { inBlocks } from './blocks.ts';
import { openRegular, readerOf } from './regular-file.ts';
import type { WholeRequest } from './requests.ts';

/** False: one of them breaks off, or is gone. */
export function areWhole({ files }: WholeRequest): boolean {
  return files.every(({ path, name, bytes }) => {
    let file: number;
    try {
      ({ file } = openRegular(path));
    } catch {
      return false;
    }
    try {
      return isWhole(name, inBlocks(readerOf(file), bytes), bytes);
    } finally {
      closeSync(file);
    }
  });
}
