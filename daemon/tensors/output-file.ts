/** File that is written once, from beginning to end, with a few bytes patched afterwards. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fdatasync, fsyncSync, openSync, readSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { writeAll } from '../../base/files.ts';
import type { Out } from '../../formats/writers/out.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { ENDED, type HashSetup, UPDATES, WRITTEN } from './hash-protocol.ts';

/**
 * Size of a write. Larger ones make Linux take large pages for its cache, which costs three times as much on a full
 * one.
 */
const WRITE_BYTES = 64 << 10;
const SYNC_BYTES = 64 << 20;

/** Size above which a separate thread computes the hash: hashing takes as long as writing. */
const THREAD_HASH_BYTES = 64 << 20;

export interface OutOptions {
  /** Expected size, as far as known. */
  bytes: number;
  /** Bundle of the thread that hashes large files; without it this thread hashes them. */
  hashThread?: URL;
  /** Called after every write. */
  written?(bytes: number): void;
}

export class OutFile implements Out {
  readonly #path: string;
  readonly #file: number;
  readonly #written: (bytes: number) => void;
  /** Hash so far; null after a patch: then the file is read again. */
  #hasher: Hasher | null;
  #position = 0;
  #unsynced = 0;
  /** Results of the syncs. The kernel reports a failed write only once, so each must be kept. */
  readonly #syncs: Promise<NodeJS.ErrnoException | null>[] = [];

  /** Creates the file; `path` must not exist. */
  constructor(path: string, { bytes, hashThread, written }: OutOptions) {
    this.#path = path;
    this.#written = written ?? (() => {});
    this.#file = withOutputErrors(path, () => openSync(path, 'wx+', 0o644));
    this.#hasher = hashThread && bytes > THREAD_HASH_BYTES ? new ThreadHasher(hashThread, path) : new InlineHasher();
  }

  get position(): number {
    return this.#position;
  }

  write(bytes: Uint8Array): void {
    withOutputErrors(this.#path, () => {
      writeAll(this.#file, bytes, null, WRITE_BYTES);
      this.#position += bytes.length;
      this.#unsynced += bytes.length;
      if (this.#unsynced < SYNC_BYTES) return;
      this.#unsynced = 0;
      // Awaited only at the end: it starts the disk early, so that the last fsync has little left to do.
      this.#syncs.push(synced(this.#file));
    });
    this.#hasher?.wrote(bytes);
    this.#written(bytes.length);
  }

  patch(offset: number, bytes: Uint8Array): void {
    this.#hasher?.close();
    this.#hasher = null;
    withOutputErrors(this.#path, () => writeAll(this.#file, bytes, offset));
  }

  /** Makes the file durable, and closes it. */
  async finish(): Promise<{ bytes: number; sha256: string }> {
    const beside = this.#hasher?.digest();
    for (const failure of await Promise.all(this.#syncs)) if (failure) throw outputProblem(this.#path, failure);
    withOutputErrors(this.#path, () => fsyncSync(this.#file));
    const sha256 = await (beside ?? this.#hashAgain());
    this.close();
    return { bytes: this.#position, sha256 };
  }

  close(): void {
    this.#hasher?.close();
    closeSync(this.#file);
  }

  #hashAgain(): string {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (let at = 0; at < this.#position; ) {
      const read = readSync(this.#file, buffer, 0, buffer.length, at);
      if (read === 0) break;
      hash.update(buffer.subarray(0, read));
      at += read;
    }
    return hash.digest('hex');
  }
}

interface Hasher {
  wrote(bytes: Uint8Array): void;
  digest(): Promise<string>;
  close(): void;
}

class InlineHasher implements Hasher {
  readonly #hash: Hash = createHash('sha256');

  wrote(bytes: Uint8Array): void {
    this.#hash.update(bytes);
  }

  async digest(): Promise<string> {
    return this.#hash.digest('hex');
  }

  close(): void {}
}

/** Hashes in a thread, which reads the data back from the kernel's cache: cheaper than handing the memory over. */
class ThreadHasher implements Hasher {
  readonly #written = new BigInt64Array(new SharedArrayBuffer(24));
  readonly #thread: Worker;
  readonly #digest: Promise<string>;

  constructor(entry: URL, path: string) {
    const setup: HashSetup = { path, written: this.#written };
    this.#thread = new Worker(entry, { workerData: setup, env: {}, stdout: true, stderr: true });
    this.#digest = new Promise((resolve, reject) => {
      this.#thread.once('message', resolve).once('error', reject);
    });
    // After a failure nobody waits for it.
    this.#digest.catch(() => {});
  }

  wrote(bytes: Uint8Array): void {
    Atomics.add(this.#written, WRITTEN, BigInt(bytes.length));
    this.#notify();
  }

  digest(): Promise<string> {
    Atomics.store(this.#written, ENDED, 1n);
    this.#notify();
    return this.#digest;
  }

  close(): void {
    void this.#thread.terminate();
  }

  #notify(): void {
    Atomics.add(this.#written, UPDATES, 1n);
    Atomics.notify(this.#written, UPDATES);
  }
}

function synced(file: number): Promise<NodeJS.ErrnoException | null> {
  return new Promise((resolve) => fdatasync(file, resolve));
}

function withOutputErrors<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw outputProblem(path, error as NodeJS.ErrnoException);
  }
}

const PROBLEMS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full',
  EDQUOT: 'the disk quota is used up',
  EACCES: 'there is no permission to write there',
  EPERM: 'there is no permission to write there',
  EROFS: 'the file system is read-only',
  ENOENT: 'its folder does not exist',
  ENOTDIR: 'its folder is a file',
  EISDIR: 'it is a folder',
  ENAMETOOLONG: 'its name is too long',
};

export function outputProblem(path: string, { code, message }: NodeJS.ErrnoException): TrainstashError {
  const problem = PROBLEMS[code ?? ''] ?? message;
  return new TrainstashError('outputUnusable', `Nothing was exported: ${problem}. No partial file was left.`, {
    path,
    problem,
  });
}
