/** Tells whether a checkpoint file is complete, as far as its format tells. Pure: reads through `read`. */
import { FormatError } from './format-error.ts';
import { readHeader } from './safetensors-reader.ts';
import type { Read } from './window.ts';
import { readZip, startsLikeZip } from './zip.ts';

const ZIP_LIKE = /\.(pt|pth|ckpt|npz|keras|bin)$/;

/**
 * Returns false if its structure is truncated, as in a half-written file. True: it is complete, or its format is
 * unknown.
 */
export function isWhole(name: string, read: Read, fileBytes: number): boolean {
  if (fileBytes === 0) return false;
  try {
    if (name.endsWith('.safetensors')) readHeader(read, fileBytes);
    // A zip's directory is written last. PyTorch's older format, a bare pickle, begins differently and has no end mark.
    else if (ZIP_LIKE.test(name) && startsLikeZip(read, fileBytes)) readZip(read, fileBytes);
    return true;
  } catch (error) {
    if (error instanceof FormatError) return error.isWhole;
    if (error instanceof RangeError) return false;
    throw error;
  }
}
