/** Writes files into the store and reads them out of it. Memory is bounded, whatever their size. */
import { createHash } from 'node:crypto';
import { mkdirSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TEMPORARY_PREFIX, writeAll } from '../../../base/files.ts';
import type { Save } from '../objects/chunks.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Hasher } from '../objects/hasher.ts';
import { FileChanged, type HashedChunk, hashFile } from '../objects/hashing.ts';
import { MAX_CHUNK_BYTES } from '../objects/limits.ts';
import type { Objects, SavedFile } from '../objects/objects.ts';
import type { EncodedChunk } from '../objects/stack.ts';
import { isPlain, verifiedBytes, verify } from '../objects/verified-read.ts';

/** Size of one transaction: limits the journal, the cache and the waiting time of other requests. */
const BATCH_BYTES = 32 << 20;
/** Number of chunks in a batch, fewer than the hasher has slots, so that it continues while a batch is written. */
const BATCH_CHUNKS = 12;
/** Size below which a file is hashed here: starting and feeding the thread would take longer. */
const INLINE_BYTES = 1 << 20;
const CHUNKS_IN_FLIGHT = 6;
/**
 * Size of a write: larger ones make Linux take large pages for its cache, which costs three times as much on a full
 * one.
 */
const WRITE_BYTES = 64 << 10;
const SYNC_BYTES = 64 << 20;

export interface StoredFile extends SavedFile {
  chunkIds: number[];
  /** Number of bytes that were new to the store. */
  added: number;
  /** SHA-256 over the chunks' hashes, which identifies the content. */
  digest: string;
}

export async function storeFile(
  objects: Objects,
  hasher: Hasher,
  save: Save,
  path: string,
  name: string,
  expected: Uint8Array,
): Promise<StoredFile> {
  const bytes = statSync(path).size;
  const digest = createHash('sha256');
  const chunkIds: number[] = [];
  let added = 0;
  let batch: { chunk: EncodedChunk; position: number; release: () => void }[] = [];
  let batchBytes = 0;
  const flush = () => {
    const references = objects.putChunks(
      save,
      batch.map(({ chunk }) => chunk),
    );
    batch.forEach(({ position, release }, i) => {
      chunkIds[position] = references[i]!.id;
      added += references[i]!.added;
      release();
    });
    batch = [];
    batchBytes = 0;
  };
  const take = (chunk: HashedChunk, release: () => void) => {
    digest.update(chunk.hash);
    const position = chunkIds.length;
    const known = objects.findChunk(save, chunk.hash);
    chunkIds.push(known ?? 0);
    // Released at once, the same few slots are reused and stay in the processor's cache.
    if (known !== null) return release();
    // Swept since it was expected: the next try will not expect it.
    if (chunk.data === null) throw new FileChanged(`${path}: an expected chunk is gone`);
    batch.push({ chunk, position, release });
    batchBytes += chunk.data.length;
    if (batchBytes >= BATCH_BYTES || batch.length >= BATCH_CHUNKS) flush();
  };
  if (bytes < INLINE_BYTES) {
    hashFile(
      path,
      () => Buffer.allocUnsafe(Math.min(bytes + 1, MAX_CHUNK_BYTES)),
      (chunk) => take(chunk, () => {}),
    );
  } else {
    let failure: unknown;
    await hasher.hash(path, expected, (chunk, release) => {
      if (failure) return release();
      try {
        take(chunk, release);
      } catch (error) {
        failure = error;
        for (const pending of batch) pending.release();
        batch = [];
      }
    });
    if (failure) throw failure;
  }
  flush();
  return { name, bytes, chunks: chunkIds.length, chunkIds, added, digest: digest.digest('hex') };
}

/**
 * Writes chunks to `path`, each compared with its hash first; the file appears there only when it is complete and
 * fsynced. Throws `corrupted`, and file system errors.
 */
export async function restoreFile(
  objects: Objects,
  coders: Coders,
  chunks: readonly number[],
  path: string,
): Promise<number> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `${TEMPORARY_PREFIX}${process.pid}-${Math.random().toString(36).slice(2)}`);
  const file = await open(temporary, 'wx');
  const flying = new Set<Promise<void>>();
  let offset = 0;
  try {
    let failure: unknown;
    let unsynced = 0;
    const track = (work: Promise<unknown>) => {
      const entry: Promise<void> = work
        .then(
          () => {},
          (error) => {
            failure ??= error;
          },
        )
        .then(() => void flying.delete(entry));
      flying.add(entry);
    };
    for (const id of chunks) {
      const stack = objects.stack(id);
      const at = offset;
      // Here and not in a thread: several writers of one file spin on its lock.
      const write = (bytes: Uint8Array) => writeAll(file.fd, bytes, at, WRITE_BYTES);
      if (isPlain(stack)) {
        const { data } = stack[0]!;
        // In parallel with the write and the next read. The file gets its name only if all hashes match.
        const verified = verify(id, data, stack[0]!);
        write(data);
        track(verified.then(() => release(data)));
      } else {
        const written = verifiedBytes(coders, id, stack).then((bytes) => {
          write(bytes);
          release(bytes);
        });
        track(written);
      }
      offset += stack[0]!.size;
      unsynced += stack[0]!.size;
      if (unsynced >= SYNC_BYTES) {
        unsynced = 0;
        // Not awaited: it starts the disk early, so that the last fsync has little left to do.
        track(file.datasync());
      }
      // This also lets other requests of the worker run.
      while (flying.size >= CHUNKS_IN_FLIGHT) await Promise.race(flying);
      if (failure) throw failure;
    }
    await Promise.all(flying);
    if (failure) throw failure;
    await file.sync();
    await file.close();
    await rename(temporary, path);
    return offset;
  } catch (error) {
    await Promise.all(flying);
    await file.close().catch(() => {});
    await rm(temporary, { force: true });
    throw error;
  }
}

/**
 * Frees the memory now, so that the next read can reuse it: the garbage collector would come late, and untouched memory
 * costs more than the read itself.
 */
function release(bytes: Uint8Array): void {
  if (bytes.byteLength === bytes.buffer.byteLength) (bytes.buffer as ArrayBuffer).transfer(0);
}
