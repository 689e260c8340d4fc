/** A file read, cut, hashed and encoded: the same code inline for small files and in the hasher thread for large ones. */

import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ContentCutter, MAX_CHUNK_BYTES, structuralCuts } from './chunking.ts';
import { type Codec, chooseCodec, encodeChunk } from './codec.ts';
import type { EncodedChunk } from './stack.ts';

/** Hashed piece by piece right after it was read, while it is in the processor's cache. */
const READ_BYTES = 256 << 10;
/** Small enough to stay in the cache from one piece to the next. */
const SCRATCH_BYTES = 512 << 10;

/** Thrown when a file changes while it is read: what was read so far is not a state that ever existed. */
export class FileChanged extends Error {}

export type HashedChunk = EncodedChunk | ExpectedChunk;

/** A chunk that was expected, and is as expected: its bytes were not kept. */
export interface ExpectedChunk {
  hash: Uint8Array;
  size: number;
  data: null;
}

/**
 * Calls `emit` for each chunk in order. `buffer()` gives the 4 MiB to read the next chunk into; an emitted chunk's data
 * may lie in it, so it must not be given again before the chunk has been used.
 *
 * `expected` holds hashes (hex) that the file may have again, as a copy of the checkpoint before has. After one that
 * fits, the next is hashed without keeping its bytes; one that then does not fit is read once more.
 */
export function hashFile(
  path: string,
  buffer: () => Uint8Array,
  emit: (chunk: HashedChunk) => void,
  expected: ReadonlySet<string> = new Set(),
): void {
  const file = openSync(path, 'r');
  try {
    const before = fstatSync(file);
    const readInto = (target: Uint8Array, offset: number, hash?: Hash): number => {
      let done = 0;
      while (done < target.length) {
        const read = readSync(file, target, done, Math.min(READ_BYTES, target.length - done), offset + done);
        if (read === 0) break;
        hash?.update(target.subarray(done, done + read));
        done += read;
      }
      return done;
    };
    const read = (offset: number, length: number) => {
      const bytes = Buffer.alloc(length);
      return bytes.subarray(0, readInto(bytes, offset));
    };
    const cuts = structuralCuts(read, before.size);
    if (cuts) {
      let codec: Codec = 0;
      let tensor = -1;
      let expectsNext = false;
      for (const [index, { offset, bytes, elementBytes, continues }] of cuts.entries()) {
        if (!continues) tensor = index;
        if (expectsNext) {
          const digest = hashOnly(readInto, offset, bytes, path);
          expectsNext = expected.has(digest.toString('hex'));
          if (expectsNext) {
            emit({ hash: digest, size: bytes, data: null });
            continue;
          }
        }
        const target = buffer().subarray(0, bytes);
        const hash = createHash('sha256');
        if (readInto(target, offset, hash) !== bytes) throw new FileChanged(path);
        // Once a tensor: at its first chunk that is kept.
        if (tensor >= 0) codec = chooseCodec(target, elementBytes);
        tensor = -1;
        const digest = hash.digest();
        expectsNext = expected.size > 0 && expected.has(digest.toString('hex'));
        emit({ hash: digest, size: bytes, ...encodeChunk(target, codec) });
      }
    } else {
      emitByContent(before.size, buffer, readInto, emit, path);
    }
    const after = fstatSync(file);
    if (after.size !== before.size || after.mtimeMs !== before.mtimeMs) throw new FileChanged(path);
  } finally {
    closeSync(file);
  }
}

/** Read beyond a cut, these bytes are read again for the next chunk. */
const PIECE_BYTES = 256 << 10;
const CHUNKS_A_CODEC = 8;

const scratch = Buffer.allocUnsafe(SCRATCH_BYTES);

type ReadInto = (target: Uint8Array, offset: number, hash?: Hash) => number;

function hashOnly(readInto: ReadInto, offset: number, bytes: number, path: string): Buffer {
  const hash = createHash('sha256');
  for (let done = 0; done < bytes; ) {
    const piece = scratch.subarray(0, Math.min(SCRATCH_BYTES, bytes - done));
    if (readInto(piece, offset + done, hash) !== piece.length) throw new FileChanged(path);
    done += piece.length;
  }
  return hash.digest();
}

function emitByContent(
  size: number,
  buffer: () => Uint8Array,
  readInto: ReadInto,
  emit: (chunk: EncodedChunk) => void,
  path: string,
): void {
  let codec: Codec = 0;
  for (let offset = 0, index = 0; offset < size; index++) {
    const target = buffer();
    const cutter = new ContentCutter();
    let filled = 0;
    let length: number | null = null;
    while (length === null) {
      const piece = target.subarray(filled, Math.min(filled + PIECE_BYTES, MAX_CHUNK_BYTES, size - offset));
      if (piece.length > 0 && readInto(piece, offset + filled) !== piece.length) throw new FileChanged(path);
      filled += piece.length;
      length = cutter.cut(target, filled) ?? (offset + filled === size ? filled : null);
    }
    const bytes = target.subarray(0, length);
    // What compresses one part of a file compresses its neighbours.
    if (index % CHUNKS_A_CODEC === 0) codec = chooseCodec(bytes, 1);
    emit({ hash: createHash('sha256').update(bytes).digest(), size: bytes.length, ...encodeChunk(bytes, codec) });
    offset += length;
  }
}
