import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { open, rename, rm, writeFile } from 'node:fs/promises';

/** Limit of a JSON file: ours have some kilobytes, except for lists of a hundred thousand files. */
const MAX_JSON_BYTES = 256 << 20;

/**
 * Opens a file that anybody may have put there. Throws for a link, and for anything but a regular file: a pipe would
 * block until somebody writes into it.
 */
export function openToRead(path: string): number {
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  const file = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (fstatSync(file).isFile()) return file;
  closeSync(file);
  throw Object.assign(new Error(`${path} is not a file`), { code: 'EINVAL' });
}

/** Reads a JSON file; null when there is none or it is not JSON. Does not follow links. */
export function readJson(path: string): unknown {
  // Most looks find none, and an error costs more than the question.
  if (!existsSync(path)) return null;
  let file: number | null = null;
  try {
    file = openToRead(path);
    return fstatSync(file).size > MAX_JSON_BYTES ? null : JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return null;
  } finally {
    if (file !== null) closeSync(file);
  }
}

/** Lists the names in a folder; none where it cannot be read. */
export function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/**
 * Writes a JSON file that appears completely or not at all. `durable`: also after a power loss, once the directory is
 * synced.
 */
export function writeJson(path: string, value: unknown, durable = false): void {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    writeFileSync(temporary, JSON.stringify(value), { mode: 0o600, flush: durable });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Writes like `writeJson`, durably, for a thread that must not wait for a disk. */
export async function writeJsonBeside(path: string, value: unknown): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    await writeFile(temporary, JSON.stringify(value), { mode: 0o600, flush: true });
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes all bytes: a disk that becomes full takes only a part, and reports the error only the next time. */
export function writeAll(file: number, bytes: Uint8Array, position: number | null = null, atOnce = bytes.length): void {
  for (let done = 0; done < bytes.length; ) {
    const at = position === null ? null : position + done;
    done += writeSync(file, bytes, done, Math.min(atOnce, bytes.length - done), at);
  }
}

/** Prefix of our temporary names in folders of others, until the content is complete; never part of a working set. */
export const TEMPORARY_PREFIX = '.trainstash-tmp-';

export function syncFile(path: string): void {
  const file = openSync(path, 'r+');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** Syncs like `syncDirectory`, for a thread that must not wait for a disk. */
export async function syncDirectoryBeside(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes renames inside a directory durable. */
export function syncDirectory(path: string | Buffer): void {
  // Windows cannot open directories; NTFS journals the rename itself.
  if (process.platform === 'win32') return;
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}
