/** Reads files out of the store. Memory is bounded, whatever their size. */
import { mkdirSync } from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { TEMPORARY_PREFIX, writeAll } from '../../../base/files.ts';
import type { Coders } from '../objects/codec-pool.ts';
import type { Objects } from '../objects/objects.ts';
import { verifiedBytes } from '../objects/verified-read.ts';
import { WRITE_BYTES } from './write-size.ts';
import type { Writing } from './writing.ts';

const CHUNKS_IN_FLIGHT = 6;
const SYNC_BYTES = 64 << 20;
/** Number of bytes that are written here: starting the thread would take longer. */
const INLINE_BYTES = 16 << 20;

/** Threads that work beside the store worker. */
export interface RestoreThreads {
  coders: Coders;
  writing: Writing;
}

/**
 * Writes chunks to `path`, each verified first; the file appears there only when it is complete and fsynced. Returns its size. Throws
 * `corrupted`, and file system errors.
 */
export async function restoreFile(
  objects: Objects,
  { coders, writing }: RestoreThreads,
  chunks: readonly number[],
  path: string,
): Promise<number> {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = join(dirname(path), `${TEMPORARY_PREFIX}${process.pid}-${Math.random().toString(36).slice(2)}`);
  const file = await open(temporary, 'wx');
  const output = new Output(file, writing);
  let offset = 0;
  try {
    for (const id of chunks) {
      const stack = objects.stack(id);
      const at = offset;
      output.track(verifiedBytes(coders, id, stack).then((bytes) => output.write(bytes, at)));
      offset += stack[0]!.size;
      await output.room();
    }
    await output.finish();
    await rename(temporary, path);
    return offset;
  } catch (error) {
    await output.abandon();
    await rm(temporary, { force: true });
    throw error;
  }
}

/** File that is being written, at several places at once. */
class Output {
  readonly #file: FileHandle;
  readonly #writing: Writing;
  readonly #flying = new Set<Promise<void>>();
  #failure: unknown;
  #written = 0;
  #unsynced = 0;

  constructor(file: FileHandle, writing: Writing) {
    this.#file = file;
    this.#writing = writing;
  }

  async write(bytes: Uint8Array<ArrayBuffer>, at: number): Promise<void> {
    const { length } = bytes;
    if (this.#written < INLINE_BYTES) {
      writeAll(this.#file.fd, bytes, at, WRITE_BYTES);
      // Now, so that the next read can reuse it: the garbage collector would come late, and untouched memory costs more than
      // the read itself.
      bytes.buffer.transfer(0);
    } else await this.#writing.write(this.#file.fd, bytes, at);
    this.#written += length;
    this.#unsynced += length;
    if (this.#unsynced < SYNC_BYTES) return;
    this.#unsynced = 0;
    // Not awaited: it starts the disk early, so that the last fsync has little left to do.
    this.track(this.#file.datasync());
  }

  /** Keeps a failure of this work for the next call of `room` or `finish`. */
  track(work: Promise<unknown>): void {
    const entry: Promise<void> = work
      .then(
        () => {},
        (error) => {
          this.#failure ??= error;
        },
      )
      .then(() => void this.#flying.delete(entry));
    this.#flying.add(entry);
  }

  /** Waits until another chunk may be read. This also lets other requests of the worker run. */
  async room(): Promise<void> {
    while (this.#flying.size >= CHUNKS_IN_FLIGHT) await Promise.race(this.#flying);
    if (this.#failure) throw this.#failure;
  }

  /** Makes the file durable, and closes it. */
  async finish(): Promise<void> {
    while (this.#flying.size > 0) await Promise.all(this.#flying);
    if (this.#failure) throw this.#failure;
    await this.#file.sync();
    await this.#file.close();
  }

  /** Closes the file after a failure, once nothing uses it any more. */
  async abandon(): Promise<void> {
    while (this.#flying.size > 0) await Promise.all(this.#flying);
    await this.#file.close().catch(() => {});
  }
}
