/** Files that are looked into: only what lies on a disk, and only as long as nobody writes it. */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { FormatError } from '../formats/format-error.ts';
import type { Read } from '../formats/window.ts';

/** The file was written while it was read: what was read was never there. */
export class FileChanged extends Error {
  constructor() {
    super('it was written while it was read');
  }
}

/** Not waiting for a writer of a named pipe, nor becoming its terminal. Windows has neither flag. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
const BUFFER_BYTES = 1 << 20;

/** A descriptor of a regular file. Throws FormatError for anything else, before it is opened where that can be. */
export function openRegular(path: string | Uint8Array): { file: number; stat: BigIntStats } {
  const name = typeof path === 'string' ? path : Buffer.from(path);
  refuseOthers(statSync(name, { bigint: true }));
  const file = openSync(name, FLAGS);
  const stat = fstatSync(file, { bigint: true });
  if (!stat.isFile()) {
    closeSync(file);
    refuseOthers(stat);
  }
  return { file, stat };
}

function refuseOthers(stat: BigIntStats): void {
  if (stat.isFile()) return;
  if (stat.isDirectory()) throw new FormatError('it is a folder');
  if (stat.isFIFO()) throw new FormatError('it is a named pipe, and no file');
  if (stat.isSocket()) throw new FormatError('it is a socket, and no file');
  throw new FormatError('it is a device, and no file');
}

/** What a file was when it was looked at. */
export function stampOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

/** Fewer bytes at its end. They are valid until the next call. */
export function readerOf(file: number): Read {
  let buffer = Buffer.alloc(0);
  return (offset, length) => {
    if (length <= 0) return new Uint8Array(0);
    const fits = length <= BUFFER_BYTES;
    if (fits && buffer.length < length) buffer = Buffer.allocUnsafe(BUFFER_BYTES);
    const target = fits ? buffer.subarray(0, length) : Buffer.allocUnsafe(length);
    let done = 0;
    while (done < length) {
      const read = readSync(file, target, done, length - done, offset + done);
      if (read === 0) break;
      done += read;
    }
    return target.subarray(0, done);
  };
}

/** A file that is opened for each request, and is known to be the same one as before. */
export class WatchedFile {
  readonly path: string;
  /** Of the file as it is now. */
  stamp = '';
  bytes = 0;
  #file = -1;
  #read: Read = () => new Uint8Array(0);

  constructor(path: string) {
    this.path = path;
  }

  /** Through whichever descriptor is open: what was found in the file goes on reading after it was opened again. */
  readonly read: Read = (offset, length) => this.#read(offset, length);

  open(): void {
    const { file, stat } = openRegular(this.path);
    this.#file = file;
    this.#read = readerOf(file);
    this.stamp = stampOf(stat);
    this.bytes = Number(stat.size);
  }

  /** Throws FileChanged when it is not what it was when it was opened. */
  check(): void {
    const now = statSync(this.path, { bigint: true, throwIfNoEntry: false });
    if (!now || stampOf(now) !== this.stamp || stampOf(fstatSync(this.#file, { bigint: true })) !== this.stamp)
      throw new FileChanged();
  }

  close(): void {
    if (this.#file >= 0) closeSync(this.#file);
    this.#file = -1;
  }
}
