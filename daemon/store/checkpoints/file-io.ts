/** Writes files into the store. Memory is bounded, whatever their size. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import type { Save } from '../objects/chunks.ts';
import type { Hasher } from '../objects/hasher.ts';
import { FileChanged, type HashedChunk, hashFile } from '../objects/hashing.ts';
import { MAX_CHUNK_BYTES } from '../objects/limits.ts';
import type { Objects, SavedFile } from '../objects/objects.ts';
import type { EncodedChunk } from '../objects/stack.ts';

/** Size of one transaction: limits the journal, the cache and the waiting time of other requests. */
const BATCH_BYTES = 32 << 20;
/** Number of chunks in a batch, fewer than the hasher has slots, so that it continues while a batch is written. */
const BATCH_CHUNKS = 12;
/** Size below which a file is hashed here: starting and feeding the thread would take longer. */
const INLINE_BYTES = 1 << 20;

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
