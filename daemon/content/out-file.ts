/** A file that is written once, from its beginning to its end, with a few bytes mended afterwards. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync } from 'node:fs';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Out } from '../formats/writers/out.ts';

/** Larger writes make Linux take large pages for its cache, which on a full one costs three times as much. */
const WRITE_BYTES = 64 << 10;
const SYNC_BYTES = 64 << 20;

export class OutFile implements Out {
  readonly #path: string;
  readonly #file: number;
  readonly #written: (bytes: number) => void;
  /** Null once something was mended: then the file is read again. */
  #hash: Hash | null = createHash('sha256');
  #position = 0;
  #unsynced = 0;

  /** `path` must not exist. `written` is told of every write. */
  constructor(path: string, written: (bytes: number) => void) {
    this.#path = path;
    this.#written = written;
    this.#file = guarded(path, () => openSync(path, 'wx+', 0o644));
  }

  get position(): number {
    return this.#position;
  }

  write(bytes: Uint8Array): void {
    this.#hash?.update(bytes);
    guarded(this.#path, () => {
      for (let at = 0; at < bytes.length; )
        at += writeSync(this.#file, bytes, at, Math.min(WRITE_BYTES, bytes.length - at));
      this.#position += bytes.length;
      this.#unsynced += bytes.length;
      if (this.#unsynced < SYNC_BYTES) return;
      this.#unsynced = 0;
      fdatasyncSync(this.#file);
    });
    this.#written(bytes.length);
  }

  patch(offset: number, bytes: Uint8Array): void {
    this.#hash = null;
    guarded(this.#path, () => writeSync(this.#file, bytes, 0, bytes.length, offset));
  }

  /** Durable, and closed. */
  finish(): { bytes: number; sha256: string } {
    guarded(this.#path, () => fsyncSync(this.#file));
    const sha256 = (this.#hash ?? this.#hashAgain()).digest('hex');
    this.close();
    return { bytes: this.#position, sha256 };
  }

  close(): void {
    closeSync(this.#file);
  }

  #hashAgain(): Hash {
    const hash = createHash('sha256');
    const buffer = Buffer.allocUnsafe(1 << 20);
    for (let at = 0; at < this.#position; ) {
      const read = readSync(this.#file, buffer, 0, buffer.length, at);
      if (read === 0) break;
      hash.update(buffer.subarray(0, read));
      at += read;
    }
    return hash;
  }
}

function guarded<T>(path: string, work: () => T): T {
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
  return new TrainstashError('outputUnusable', `Nothing was exported: ${problem}. Nothing is left half-written.`, {
    path,
    problem,
  });
}
