/** Reads the log of a W&B run: blocks of 32 KiB with parts of records, as LevelDB's logs have them. */
import { closeSync, openSync, readSync } from 'node:fs';

const BLOCK_BYTES = 32_768;
/** Length of the file's own head: `:W&B`, a number, and a version. */
const HEAD_BYTES = 7;
/** Length of a part's head: checksum, length, kind. */
const PART_HEAD_BYTES = 7;
const MOST_RECORD_BYTES = 64 << 20;
const FULL = 1;
const FIRST = 2;
const MIDDLE = 3;
const LAST = 4;

/** Yields the records in order; null for one that is damaged. A log that ends in the middle of a record ends before it. */
export function* recordsOf(path: string): Generator<Uint8Array | null> {
  const file = openSync(path, 'r');
  try {
    const head = Buffer.alloc(HEAD_BYTES);
    if (readSync(file, head, 0, HEAD_BYTES, 0) < HEAD_BYTES || head.toString('latin1', 0, 4) !== ':W&B') {
      yield null;
      return;
    }
    const block = Buffer.alloc(BLOCK_BYTES);
    let parts: Buffer[] = [];
    let length = 0;
    for (let start = 0; ; start += BLOCK_BYTES) {
      const read = readSync(file, block, 0, BLOCK_BYTES, start);
      if (read === 0) return;
      for (const { kind, bytes } of partsOf(block.subarray(0, read), start === 0 ? HEAD_BYTES : 0)) {
        if (kind === FULL || kind === FIRST) {
          if (parts.length > 0) yield null;
          parts = [];
          length = 0;
        }
        // A copy: the block is read into again.
        parts.push(Buffer.from(bytes));
        length += bytes.length;
        if (length > MOST_RECORD_BYTES) {
          yield null;
          parts = [];
        } else if (kind === FULL || kind === LAST) {
          yield parts.length === 1 ? parts[0]! : Buffer.concat(parts);
          parts = [];
        }
      }
    }
  } finally {
    closeSync(file);
  }
}

function* partsOf(block: Buffer, from: number): Generator<{ kind: number; bytes: Buffer }> {
  for (let at = from; at + PART_HEAD_BYTES <= block.length; ) {
    const length = block.readUInt16LE(at + 4);
    const kind = block[at + 6]!;
    // The end of a block that is too short for a head is filled with zeros.
    if (![FULL, FIRST, MIDDLE, LAST].includes(kind) || at + PART_HEAD_BYTES + length > block.length) return;
    yield { kind, bytes: block.subarray(at + PART_HEAD_BYTES, at + PART_HEAD_BYTES + length) };
    at += PART_HEAD_BYTES + length;
  }
}
