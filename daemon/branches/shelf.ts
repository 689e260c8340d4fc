/**
 * What a branch had when HEAD left it: one folder `<store>/shelf/<id>/` each, with an `owner.json` that is written before
 * the first file is moved in. Moving is renaming; a file that cannot be renamed (another device) must be in the store
 * first. Nothing is ever put over a file that is there.
 */
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import * as v from 'valibot';
import { inside } from '../../base/inside.ts';
import { isError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { idSchema, objectIdSchema } from '../../protocol/session.ts';
import { readJson, syncDirectory, writeJson } from '../store/files.ts';
import { durableStep } from './crash.ts';
import { absolute, parentOf, type RawPath, rawPathSchema } from './paths.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const shelvedFileSchema = v.object({
  /** Its name on the shelf, since its own may be anything; null: it was gone before, and only the store has it. */
  number: v.nullable(count),
  path: rawPathSchema,
  bytes: count,
  mtimeMs: v.number(),
  mode: count,
  run: v.nullable(idSchema),
  /** Its row in the store; null: only this shelf has it. */
  saved: v.nullable(idSchema),
});
export type ShelvedFile = v.InferOutput<typeof shelvedFileSchema>;

const ownerSchema = v.object({
  format: v.literal(1),
  /** The name of its folder. */
  id: idSchema,
  /** By the name that it had when HEAD left it. */
  branch: v.string(),
  /** The branch's id, which it keeps when it is renamed. */
  branchId: v.string(),
  /** The branch's commit when HEAD left it. */
  tip: v.nullable(objectIdSchema),
  /** The worktree that the files are of, by git's name for it. */
  worktree: v.string(),
  createdAt: v.number(),
  /** `kept`: not put back by itself (conflict, vanished, of another branch of this name); a person may. */
  state: v.picklist(['stashed', 'kept']),
  reason: v.picklist(['switch', 'branched', 'vanished', 'conflict', 'replaced']),
  files: v.array(shelvedFileSchema),
  /** In the trash since. */
  droppedAt: v.nullable(v.number()),
});
export type Owner = v.InferOutput<typeof ownerSchema>;

export class ShelfEntry {
  readonly directory: string;
  owner: Owner;

  constructor(directory: string, owner: Owner) {
    this.directory = directory;
    this.owner = owner;
  }

  /**
   * Write-ahead of moving: `present` files will be moved in, `stored` ones are in the store alone. What is listed and not
   * moved yet is still in its place.
   */
  static create(
    store: string,
    facts: Pick<Owner, 'branch' | 'branchId' | 'tip' | 'worktree' | 'state' | 'reason'>,
    present: readonly Omit<ShelvedFile, 'number'>[],
    stored: readonly Omit<ShelvedFile, 'number'>[],
  ): ShelfEntry {
    const id = randomId();
    const directory = join(store, 'shelf', id);
    mkdirSync(join(directory, 'files'), { recursive: true, mode: 0o700 });
    const files = [
      ...present.map((file, number) => ({ ...file, number })),
      ...stored.map((file) => ({ ...file, number: null })),
    ];
    const entry = new ShelfEntry(directory, { format: 1, id, createdAt: Date.now(), droppedAt: null, ...facts, files });
    entry.write();
    syncDirectory(dirname(directory));
    return entry;
  }

  /** All that can be read, the oldest first. What cannot be read stays as it is. */
  static all(store: string): ShelfEntry[] {
    const entries = foldersOf(store).flatMap((folder) => ShelfEntry.#at(folder) ?? []);
    return entries.sort((a, b) => a.owner.createdAt - b.owner.createdAt);
  }

  /** Whether there are some that cannot be read: what they refer to nobody knows. */
  static someAreUnreadable(store: string): boolean {
    return foldersOf(store).some((folder) => !ShelfEntry.#at(folder));
  }

  static #at(folder: string): ShelfEntry | null {
    const parsed = v.safeParse(ownerSchema, readJson(join(folder, 'owner.json')));
    return parsed.success && parsed.output.id === basename(folder) ? new ShelfEntry(folder, parsed.output) : null;
  }

  update(patch: Partial<Owner>): void {
    this.owner = { ...this.owner, ...patch };
    this.write();
  }

  write(): void {
    durableStep();
    writeJson(join(this.directory, 'owner.json'), this.owner, true);
    syncDirectory(this.directory);
  }

  /** Throws `unsafeName` for a link. */
  shelved({ number }: Pick<ShelvedFile, 'number'>): string {
    return inside(this.directory, `files/${number}`);
  }

  has(file: Pick<ShelvedFile, 'number'>): boolean {
    if (file.number === null) return false;
    try {
      return lstatSync(this.shelved(file), { throwIfNoEntry: false })?.isFile() ?? false;
    } catch (error) {
      if (isError(error, 'unsafeName')) return false;
      throw error;
    }
  }

  /** Renames a file from its place onto the shelf. Throws EXDEV from another device. */
  take(file: ShelvedFile, from: Buffer): void {
    durableStep();
    renameSync(from, this.shelved(file));
  }

  /**
   * Renames a file from the shelf to its place, unless something is there: then false, and both stay. Throws EXDEV to
   * another device.
   */
  give(file: ShelvedFile, to: Buffer): boolean {
    return placeNew(this.shelved(file), to);
  }

  /** Removes the shelf's copy of a file that is in the store, unless it is not what was stored. Returns its bytes. */
  evict(file: ShelvedFile): number {
    const { size, mtimeMs } = statSync(this.shelved(file));
    if (size !== file.bytes || Math.abs(mtimeMs - file.mtimeMs) >= 1) return 0;
    unlinkSync(this.shelved(file));
    return size;
  }

  /** Makes renames on the shelf's side durable. */
  sync(): void {
    syncDirectory(join(this.directory, 'files'));
  }

  remove(): void {
    durableStep();
    rmSync(this.directory, { recursive: true, force: true });
    syncDirectory(dirname(this.directory));
  }
}

/** Gives `from` the name `to` unless that exists: false then. `link` fails where `rename` would replace. */
export function placeNew(from: string, to: Buffer): boolean {
  mkdirSync(dirnameOf(to), { recursive: true });
  durableStep();
  try {
    linkSync(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      // Ended between link and unlink: it is there already.
      if (!isSameFile(from, to)) return false;
      unlinkSync(from);
      return true;
    }
    // File systems without hard links (exFAT): look first, then rename; nothing better is to be had there.
    if (code !== 'EPERM' && code !== 'ENOTSUP' && code !== 'EMLINK') throw error;
    if (lstatSync(to, { throwIfNoEntry: false })) return false;
    renameSync(from, to);
    return true;
  }
  durableStep();
  unlinkSync(from);
  return true;
}

function isSameFile(a: string, b: Buffer): boolean {
  const [first, second] = [lstatSync(a), lstatSync(b)];
  return first.dev === second.dev && first.ino === second.ino;
}

/** As it was: scripts choose by time, and read-only files stay so. */
export function dressLike(path: string | Buffer, file: Pick<ShelvedFile, 'mode' | 'mtimeMs'>): void {
  utimesSync(path, file.mtimeMs / 1000, file.mtimeMs / 1000);
  // Not what gives a program the rights of its owner: no checkpoint has that.
  chmodSync(path, file.mode & 0o777);
}

/** Makes renames in the folders of these files durable. */
export function syncParents(root: string, paths: readonly RawPath[]): void {
  for (const parent of new Set(paths.map(parentOf))) {
    try {
      syncDirectory(absolute(root, parent));
    } catch (error) {
      // A folder that is gone again has nothing of ours in it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

function dirnameOf(path: Buffer): Buffer {
  return path.subarray(0, path.lastIndexOf(0x2f));
}

/** Folders alone: what is behind a link is not the store's. */
export function listedIn(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

function foldersOf(store: string): string[] {
  const shelf = join(store, 'shelf');
  return listedIn(shelf).map((name) => join(shelf, name));
}
