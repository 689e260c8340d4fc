/**
 * Reads, cuts, hashes and encodes a file: the same code for small files in place and for large ones in the hasher
 * thread.
 */

import { createHash, type Hash } from 'node:crypto';
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { checksumOf } from './checksum.ts';
import { ContentCutter, structuralCuts } from './chunking.ts';
import { type Codec, chooseCodec, encodeChunk } from './codec.ts';
import { MAX_CHUNK_BYTES } from './limits.ts';
import type { EncodedChunk } from './stack.ts';

/** Size of a read: each piece is hashed at once, while it is in the processor's cache. */
const READ_BYTES = 256 << 10;
/** Small enough to stay in the cache from one piece to the next. */
const SCRATCH_BYTES = 512 << 10;

/** Error for a file that changed while it was read: the content read so far never existed. */
export class FileChanged extends Error {}

export type HashedChunk = EncodedChunk | ExpectedChunk;

/** Chunk with an expected hash: its bytes were not kept. */
export interface ExpectedChunk {
  hash: Uint8Array;
  size: number;
  data: null;
}

/**
 * Calls `emit` for each chunk in order. `buffer()` returns the 4 MiB to read the next chunk into; an emitted chunk's
 * data may be in it, so it must not be returned again before the chunk has been used. `expected` has hashes (hex) that
 * the file may contain again, as the next checkpoint does. After a match the next chunk is hashed without keeping its
 * bytes; if it does not match, it is read again.
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
        // Once for each tensor: at its first chunk that is kept.
        if (tensor >= 0) codec = chooseCodec(target, elementBytes);
        tensor = -1;
        const digest = hash.digest();
        expectsNext = expected.size > 0 && expected.has(digest.toString('hex'));
        emit({ hash: digest, size: bytes, sum: checksumOf(target, digest), ...encodeChunk(target, codec) });
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

/** Read size: bytes read beyond a cut are read again for the next chunk. */
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
    // A codec that suits one part of a file suits its neighbours.
    if (index % CHUNKS_A_CODEC === 0) codec = chooseCodec(bytes, 1);
    const hash = createHash('sha256').update(bytes).digest();
    emit({ hash, size: bytes.length, sum: checksumOf(bytes, hash), ...encodeChunk(bytes, codec) });
    offset += length;
  }
}
