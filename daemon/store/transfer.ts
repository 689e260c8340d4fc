/** Files into the store and out of it again. Memory is bounded whatever their size. */
import { createHash } from 'node:crypto';
import { mkdirSync, statSync } from 'node:fs';
import { open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { hashFile } from './hashing.ts';
import type { Hasher } from './hasher.ts';
import { MAX_CHUNK_BYTES } from './chunking.ts';
import { type EncodedChunk, type Objects, type Save, type SavedFile } from './objects.ts';

/** The size of one transaction: bounds the journal, the cache and how long other requests wait. */
const BATCH_BYTES = 16 << 20;
/** Fewer than the hasher has slots, so that it works on while a batch is written. */
const BATCH_CHUNKS = 8;
/** Below this a file is hashed here: starting and feeding the thread would take longer. */
const INLINE_BYTES = 1 << 20;
const WRITES_IN_FLIGHT = 4;
const SYNC_BYTES = 64 << 20;

export interface StoredFile extends SavedFile {
  chunkIds: number[];
  /** Bytes that were new to the store. */
  added: number;
  /** SHA-256 over the chunks' hashes: names the content. */
  digest: string;
}

export async function storeFile(objects: Objects, hasher: Hasher, save: Save, path: string, name: string): Promise<StoredFile> {
  const bytes = statSync(path).size;
  const digest = createHash('sha256');
  const chunkIds: number[] = [];
  let added = 0;
  let batch: EncodedChunk[] = [];
  let batchBytes = 0;
  let releases: (() => void)[] = [];
  const flush = () => {
    for (const reference of objects.putChunks(save, batch)) {
      chunkIds.push(reference.id);
      added += reference.added;
    }
    for (const release of releases) release();
    batch = [];
    batchBytes = 0;
    releases = [];
  };
  const take = (chunk: EncodedChunk, release: () => void) => {
    digest.update(chunk.hash);
    batch.push(chunk);
    batchBytes += chunk.data.length;
    releases.push(release);
    if (batchBytes >= BATCH_BYTES || batch.length >= BATCH_CHUNKS) flush();
  };
  if (bytes < INLINE_BYTES) {
    hashFile(path, () => Buffer.allocUnsafe(Math.min(bytes + 1, MAX_CHUNK_BYTES)), (chunk) => take(chunk, () => {}));
  } else {
    let failure: unknown;
    await hasher.hash(path, (chunk, release) => {
      if (failure) return release();
      try {
        take(chunk, release);
      } catch (error) {
        failure = error;
        for (const pending of releases) pending();
        releases = [];
      }
    });
    if (failure) throw failure;
  }
  flush();
  return { name, bytes, chunks: chunkIds.length, chunkIds, added, digest: digest.digest('hex') };
}

/**
 * Writes chunks to `path`, each checked against its hash first; the file appears there only when it is whole and
 * fsynced. Throws `corrupted`, and file system errors.
 */
export async function restoreFile(objects: Objects, chunks: readonly number[], path: string): Promise<number> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `.tmp-${process.pid}-${Math.random().toString(36).slice(2)}`);
  const file = await open(temporary, 'wx');
  let offset = 0;
  try {
    const flying = new Set<Promise<void>>();
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
      const bytes = objects.chunk(id);
      const at = offset;
      offset += bytes.length;
      unsynced += bytes.length;
      track(writeAll(file, bytes, at));
      if (unsynced >= SYNC_BYTES) {
        unsynced = 0;
        // Not waited for: it starts the disk early, so that the last fsync has little left to do.
        track(file.datasync());
      }
      // Also lets other requests of the worker in between.
      while (flying.size >= WRITES_IN_FLIGHT) await Promise.race(flying);
      if (failure) throw failure;
    }
    await Promise.all(flying);
    if (failure) throw failure;
    await file.sync();
    await file.close();
    await rename(temporary, path);
    return offset;
  } catch (error) {
    await file.close().catch(() => {});
    await rm(temporary, { force: true });
    throw error;
  }
}

async function writeAll(file: Awaited<ReturnType<typeof open>>, bytes: Uint8Array, offset: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
  }
}
