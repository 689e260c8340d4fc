/** Opens files for inspection: only regular files, and only as long as nobody writes them. */
import { type BigIntStats, closeSync, constants, fstatSync, openSync, readSync, statSync } from 'node:fs';
import { FormatError } from '../formats/format-error.ts';
import type { Read } from '../formats/window.ts';

/** Error for a file that was written while it was read: the content that was read never existed. */
export class FileChanged extends Error {
  constructor() {
    super('it was changed while it was read');
  }
}

/** Flags that neither wait for the writer of a named pipe nor acquire a terminal. Windows has neither flag. */
const FLAGS = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | (constants.O_NOCTTY ?? 0);
const BUFFER_BYTES = 1 << 20;

/** Opens a regular file. Throws FormatError for anything else, if possible before opening it. */
export function openRegular(path: string | Uint8Array): { file: number; stat: BigIntStats } {
  const name = typeof path === 'string' ? path : Buffer.from(path);
  refuseIrregular(statSync(name, { bigint: true }));
  const file = openSync(name, FLAGS);
  const stat = fstatSync(file, { bigint: true });
  if (!stat.isFile()) {
    closeSync(file);
    refuseIrregular(stat);
  }
  return { file, stat };
}

function refuseIrregular(stat: BigIntStats): void {
  if (stat.isFile()) return;
  if (stat.isDirectory()) throw new FormatError('it is a folder');
  if (stat.isFIFO()) throw new FormatError('it is a named pipe, not a regular file');
  if (stat.isSocket()) throw new FormatError('it is a socket, not a regular file');
  throw new FormatError('it is a device, not a regular file');
}

/** Makes a stamp of a file's state. */
export function stampOf({ dev, ino, size, mtimeNs }: BigIntStats): string {
  return `${dev}:${ino}:${size}:${mtimeNs}`;
}

/** Makes a reader, which returns fewer bytes at the end. They are valid until the next call. */
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

/** File that is opened for each request, and that is recognised as unchanged. */
export class WatchedFile {
  readonly path: string;
  /** Stamp of the file as it is now. */
  stamp = '';
  bytes = 0;
  #file = -1;
  #read: Read = () => new Uint8Array(0);

  constructor(path: string) {
    this.path = path;
  }

  /** Reads through the current descriptor: objects found in the file keep working after it was opened again. */
  readonly read: Read = (offset, length) => this.#read(offset, length);

  open(): void {
    const { file, stat } = openRegular(this.path);
    this.#file = file;
    this.#read = readerOf(file);
    this.stamp = stampOf(stat);
    this.bytes = Number(stat.size);
  }

  /** Throws FileChanged if the file changed since it was opened. */
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
