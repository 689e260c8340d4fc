/**
 * Driver for a folder: another disk, a mounted share, a folder that some program synchronises. Objects are written under a temporary
 * name, synced and renamed.
 */
import { constants, lstatSync } from 'node:fs';
import { type FileHandle, link, mkdir, open, opendir, rename, rm, stat, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncDirectoryBeside } from '../../../base/files.ts';
import { inside } from '../../../base/inside.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import {
  type Driver,
  damagedObject,
  denied,
  type Entry,
  free,
  full,
  type GetOptions,
  gone,
  type PutOptions,
  UNFINISHED,
  UNFINISHED_MS,
  unreachable,
} from './driver.ts';
import { inParallel } from './in-parallel.ts';

/** Size of objects without a name above which they are settled: what a crash loses is sent again. */
const MOST_UNNAMED_BYTES = 256 << 20;
/**
 * Size from which an object is synced as soon as it is written: the disk then writes while the next ones are read and hashed. A sync of
 * smaller ones takes longer than they do, so they are synced together.
 */
const LARGE_BYTES = 512 << 10;
/** Number of syncs and renames at once: a file system answers several with one write of its journal. */
const AT_ONCE = 8;
/** Errors of file systems that cannot sync a folder, or have no links. */
const NOT_SUPPORTED = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EPERM', 'EISDIR', 'EMLINK', 'EBADF']);

export class FolderDriver implements Driver {
  readonly #name: string;
  readonly #root: string;
  /** Folders inside that were checked, and are no links. */
  readonly #seen = new Set<string>();
  readonly #made = new Set<string>();
  /** Folders with new names that are not synced yet. */
  readonly #unsynced = new Set<string>();
  /** Objects that were written, and get their names once all of them are synced. `file`: it is not synced yet. */
  readonly #unnamed: { key: string; temporary: string; file: FileHandle | null; bytes: number }[] = [];
  #settling: Promise<void> = Promise.resolve();

  constructor(name: string, root: string) {
    this.#name = name;
    this.#root = root;
  }

  async *list(prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    const at = prefix.lastIndexOf('/');
    yield* this.#walk(at < 0 ? '' : prefix.slice(0, at), prefix, signal);
  }

  async *#walk(folder: string, prefix: string, signal?: AbortSignal): AsyncIterable<Entry> {
    signal?.throwIfAborted();
    const entries = await this.#attempt(async () => {
      const found: { name: string; isFolder: boolean; isFile: boolean }[] = [];
      for await (const entry of await opendir(folder === '' ? this.#root : inside(this.#root, folder)))
        found.push({ name: entry.name, isFolder: entry.isDirectory(), isFile: entry.isFile() });
      return found;
    });
    // Without the root nothing is there at all; a folder in it may just not exist yet.
    if (entries === null && folder === '') throw gone(this.#name, this.#root);
    for (const { name, isFolder, isFile } of entries ?? []) {
      const key = folder === '' ? name : `${folder}/${name}`;
      if (key === UNFINISHED) continue;
      if (isFolder && (key.startsWith(prefix) || prefix.startsWith(`${key}/`))) yield* this.#walk(key, prefix, signal);
      if (!isFile || !key.startsWith(prefix)) continue;
      const entry = await this.stat(key);
      if (entry) yield entry;
    }
  }

  async get(key: string, { maxBytes, first, signal }: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    return this.#attempt(async () => {
      const file = await opened(this.#path(key));
      try {
        const { size } = await file.stat();
        const wanted = Math.min(size, first ?? size);
        if (wanted > maxBytes)
          throw damagedObject(this.#name, key, `it has ${size} bytes, more than such an object can have`);
        const bytes = new Uint8Array(wanted);
        let at = 0;
        while (at < wanted) {
          signal?.throwIfAborted();
          const { bytesRead } = await file.read(bytes, at, wanted - at, at);
          if (bytesRead === 0) break;
          at += bytesRead;
        }
        return at === wanted ? bytes : bytes.slice(0, at);
      } finally {
        await file.close();
      }
    });
  }

  /** Writes an object, which gets its name with the next `settle`: syncing many at once takes far less time than each by itself. */
  async put(
    key: string,
    bytes: Uint8Array,
    { ifAbsent, takeOver, signal }: PutOptions = {},
  ): Promise<'written' | 'taken'> {
    signal?.throwIfAborted();
    const result = await this.#attempt(async () => {
      await this.#makeFolder(UNFINISHED);
      await this.#makeFolder(dirname(key));
      const temporary = inside(this.#root, `${UNFINISHED}/${randomId()}`);
      if (!ifAbsent) {
        const file = await written(temporary, bytes, bytes.length >= LARGE_BYTES);
        this.#unnamed.push({ key, temporary, file, bytes: bytes.length });
        if (takeOver) free(bytes);
        return 'written' as const;
      }
      try {
        await written(temporary, bytes, true);
        return await this.#linkOnce(temporary, this.#path(key));
      } finally {
        this.#unsynced.add(dirname(this.#path(key)));
        await rm(temporary, { force: true }).catch(() => {});
      }
    });
    // A folder that was there a moment ago is not now: the disk was unplugged, or somebody deleted it.
    if (result === null) throw gone(this.#name, this.#root);
    if (this.#unnamed.reduce((sum, one) => sum + one.bytes, 0) > MOST_UNNAMED_BYTES) await this.settle();
    return result;
  }

  async settle(): Promise<void> {
    // One after the other: whoever waits for the second must not return before the first has ended.
    const settled = this.#settling.then(() => this.#settleNow());
    this.#settling = settled.catch(() => {});
    await settled;
  }

  async #settleNow(): Promise<void> {
    const objects = this.#unnamed.splice(0);
    try {
      await inParallel(objects, AT_ONCE, undefined, async ({ file }) => {
        await this.#attempt(async () => file?.datasync());
        await file?.close().catch(() => {});
      });
      await inParallel(objects, AT_ONCE, undefined, async ({ key, temporary }) => {
        const path = this.#path(key);
        const named = await this.#attempt(() => rename(temporary, path).then(() => true));
        if (!named) throw gone(this.#name, this.#root);
        this.#unsynced.add(dirname(path));
      });
    } catch (error) {
      for (const { temporary, file } of objects) {
        await file?.close().catch(() => {});
        await rm(temporary, { force: true }).catch(() => {});
      }
      throw error;
    }
    const folders = [...this.#unsynced];
    this.#unsynced.clear();
    await inParallel(folders, AT_ONCE, undefined, async (folder) => {
      await this.#attempt(() =>
        syncDirectoryBeside(folder).catch((error: NodeJS.ErrnoException) => {
          if (!NOT_SUPPORTED.has(error.code ?? '')) throw error;
        }),
      );
    });
  }

  async delete(key: string): Promise<void> {
    await this.#attempt(() => unlink(this.#path(key)));
  }

  async stat(key: string): Promise<Entry | null> {
    return this.#attempt(async () => {
      const found = lstatSync(this.#path(key), { throwIfNoEntry: false });
      return found?.isFile() ? { key, bytes: found.size, changedAt: found.mtimeMs } : null;
    });
  }

  /** Reads the clock of whoever stores the files, which on a share is another machine. */
  async now(): Promise<number> {
    const at = await this.#attempt(async () => {
      await this.#makeFolder(UNFINISHED);
      const probe = inside(this.#root, `${UNFINISHED}/${randomId()}`);
      try {
        await writeFile(probe, '', { flag: 'wx' });
        return (await stat(probe)).mtimeMs;
      } finally {
        await rm(probe, { force: true }).catch(() => {});
      }
    });
    if (at === null) throw gone(this.#name, this.#root);
    await this.#sweep(at);
    return at;
  }

  /** Makes the folder, but none around it: they would be made beside a disk that is not mounted. */
  async create(): Promise<void> {
    const made = await this.#attempt(async () => {
      await mkdir(this.#root, { mode: 0o700 });
      return true;
    });
    if (!made) throw gone(this.#name, dirname(this.#root));
  }

  async exists(): Promise<boolean> {
    return (await this.#attempt(() => stat(this.#root)))?.isDirectory() ?? false;
  }

  /** Drops what was not settled. */
  close(): void {
    for (const { temporary, file } of this.#unnamed.splice(0)) {
      void file?.close().catch(() => {});
      void rm(temporary, { force: true }).catch(() => {});
    }
  }

  #path(key: string): string {
    return inside(this.#root, key, { seen: this.#seen });
  }

  /** Makes folders inside the root, and never the root itself: an unmounted disk must not be written beside. */
  async #makeFolder(folder: string): Promise<void> {
    if (folder === '.' || this.#made.has(folder)) return;
    const parent = dirname(folder);
    if (parent !== '.') await this.#makeFolder(parent);
    const path = inside(this.#root, folder);
    await mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    this.#unsynced.add(dirname(path));
    this.#made.add(folder);
  }

  async #linkOnce(temporary: string, path: string): Promise<'written' | 'taken'> {
    try {
      await link(temporary, path);
      return 'written';
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return 'taken';
      if (!NOT_SUPPORTED.has(code ?? '')) throw error;
    }
    // Without links two writers may both believe that they were first.
    if (lstatSync(path, { throwIfNoEntry: false })) return 'taken';
    await rename(temporary, path);
    return 'written';
  }

  /** Removes what killed writers have left. */
  async #sweep(now: number): Promise<void> {
    await this.#attempt(async () => {
      for await (const { name } of await opendir(inside(this.#root, UNFINISHED))) {
        const path = inside(this.#root, `${UNFINISHED}/${name}`);
        const found = lstatSync(path, { throwIfNoEntry: false });
        if (found?.isFile() && found.mtimeMs < now - UNFINISHED_MS) await rm(path, { force: true });
      }
    });
  }

  /** Runs file work; null where a file or folder is not there. Throws our own errors. */
  async #attempt<T>(work: () => Promise<T>): Promise<T | null> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof TrainstashError) {
        if (isError(error, 'unsafeName')) throw damagedObject(this.#name, error.data.name, error.data.problem);
        throw error;
      }
      const { code = '', message } = error as NodeJS.ErrnoException;
      // Made again by the next put, if the root is still there.
      this.#made.clear();
      if (code === 'ENOENT' || code === 'ENOTDIR') return null;
      if (['ENOSPC', 'EDQUOT', 'EFBIG'].includes(code)) throw full(this.#name);
      if (['EACCES', 'EPERM', 'EROFS'].includes(code)) throw denied(this.#name, message);
      if (code === 'ELOOP') throw damagedObject(this.#name, message, 'it is a link');
      if (code !== '') throw unreachable(this.#name, message);
      throw error;
    }
  }
}

/** Opens a file to read it, beside the calling thread: a share may take its time. Does not follow a link, or wait for a pipe. */
async function opened(path: string): Promise<FileHandle> {
  const { O_RDONLY, O_NOFOLLOW = 0, O_NONBLOCK = 0 } = constants;
  const file = await open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw Object.assign(new Error(`${path} is not a file`), { code: 'EINVAL' });
}

/** Writes a new file. Returns it if it is not synced yet. */
async function written(path: string, bytes: Uint8Array, isSynced: boolean): Promise<FileHandle | null> {
  const file = await open(path, 'wx', 0o600);
  let isOpen = false;
  try {
    await file.writeFile(bytes);
    if (isSynced) await file.datasync();
    isOpen = !isSynced;
    return isOpen ? file : null;
  } catch (error) {
    await rm(path, { force: true }).catch(() => {});
    throw error;
  } finally {
    if (!isOpen) await file.close().catch(() => {});
  }
}
