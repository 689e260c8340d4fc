/** Finds all tensors of a file that the client reads, each with the position of its elements. */
import { closeSync, openSync, writeSync } from 'node:fs';
import { Budget } from '../formats/budget.ts';
import { FormatError } from '../formats/format-error.ts';
import { openFile } from '../formats/inspect.ts';
import type { Inspection, Packed, PlacedTensor } from '../formats/inspection.ts';
import type { Read } from '../formats/window.ts';
import { inBlocks } from './blocks.ts';
import type { Structure, StructuredTensor, StructureRequest } from './requests.ts';

/** Number of tensors in a part. */
const PART = 1_000;
/** Limit on tensors: no comparison or export of such a checkpoint would be useful. */
const MAX_TENSORS = 250_000;
const MAX_UNPACKED_BYTES = 64 * 2 ** 30;
/** Size of one remote read. */
const READ_BYTES = 1 << 20;

/** Finds the structure. Throws FormatError. */
export async function structureOf(
  { bytes, unpacked }: StructureRequest,
  readRemotely: Read,
  onPart: (tensors: StructuredTensor[]) => void,
): Promise<Structure> {
  const { inspection, close } = await openFile(inBlocks(inParts(readRemotely), bytes), bytes, new Budget());
  try {
    const { tensors } = inspection;
    if (tensors.length > MAX_TENSORS)
      throw new FormatError(
        `it has ${tensors.length.toLocaleString('en-US')} tensors, more than can be compared or exported`,
      );
    const target = new Unpacked(unpacked);
    try {
      for (let at = 0; at < tensors.length; at += PART) {
        const described: StructuredTensor[] = [];
        for (const tensor of tensors.slice(at, at + PART)) described.push(await structured(tensor, target));
        onPart(described);
      }
    } finally {
      target.close();
    }
    return { ...factsOf(inspection), unpackedBytes: target.bytes };
  } finally {
    close();
  }
}

async function structured({ place, ...tensor }: PlacedTensor, target: Unpacked): Promise<StructuredTensor> {
  if (place === null || !('pieces' in place)) return { ...tensor, place: place && { ...place, isUnpacked: false } };
  try {
    return { ...tensor, place: { ...(await target.take(place)), isUnpacked: true } };
  } catch (error) {
    // One array that cannot be unpacked is no reason to lose the others.
    if (!(error instanceof FormatError)) throw error;
    return { ...tensor, place: null, remark: error.message };
  }
}

/** File for unpacked elements, one tensor after another; created with the first. */
class Unpacked {
  readonly #path: string;
  #file = -1;
  bytes = 0;

  constructor(path: string) {
    this.#path = path;
  }

  async take({ bytes, pieces }: Packed): Promise<{ offset: number; bytes: number }> {
    // Elements start at multiples of their size.
    const offset = Math.ceil(this.bytes / 64) * 64;
    if (offset + bytes > MAX_UNPACKED_BYTES) throw new FormatError('it unpacks to more bytes than are allowed');
    if (this.#file < 0) this.#file = openSync(this.#path, 'wx', 0o600);
    let at = offset;
    for await (const piece of pieces()) {
      for (let done = 0; done < piece.length; )
        done += writeSync(this.#file, piece, done, piece.length - done, at + done);
      at += piece.length;
    }
    this.bytes = at;
    return { offset, bytes };
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
  }
}

function factsOf({ format, values, valueCount, notes, isComplete }: Inspection): Omit<Structure, 'unpackedBytes'> {
  return {
    format,
    hasValues: valueCount > 0,
    isTraining: values.some(({ name }) => name === 'trainstash.progress'),
    notes,
    isComplete,
  };
}

function inParts(read: Read): Read {
  return (offset, length) => {
    if (length <= READ_BYTES) return read(offset, length);
    const out = new Uint8Array(length);
    let done = 0;
    while (done < length) {
      const piece = read(offset + done, Math.min(READ_BYTES, length - done));
      if (piece.length === 0) break;
      out.set(piece, done);
      done += piece.length;
    }
    return out.subarray(0, done);
  };
}
