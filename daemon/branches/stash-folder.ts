/**
 * Files that a branch had when HEAD left it. Each stash is a folder `<store>/shelf/<id>/` with an `owner.json`, which
 * is written before the first file is moved in. Moving is renaming; a file that cannot be renamed (other device) must
 * be in the store first. No existing file is ever overwritten.
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
import { readJson, syncDirectory, writeJson } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { isError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { idSchema, objectIdSchema } from '../../protocol/session.ts';
import { durableStep } from './crash.ts';
import { absolute, parentOf, type RawPath, rawPathSchema } from './paths.ts';

const count = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const stashedFileSchema = v.object({
  /**
   * File name in the stash, since the original name may be any bytes; null: the file was gone before, and only the
   * store has it.
   */
  number: v.nullable(count),
  path: rawPathSchema,
  bytes: count,
  mtimeMs: v.number(),
  mode: count,
  run: v.nullable(idSchema),
  /** Row in the store; null: only this stash has the file. */
  saved: v.nullable(idSchema),
});
export type StashedFile = v.InferOutput<typeof stashedFileSchema>;

const ownerSchema = v.object({
  format: v.literal(1),
  /** Name of the stash's folder. */
  id: idSchema,
  /** Name that the branch had when HEAD left it. */
  branch: v.string(),
  /** Branch id, which survives a rename. */
  branchId: v.string(),
  /** Commit of the branch when HEAD left it. */
  tip: v.nullable(objectIdSchema),
  /** git's name for the worktree that the files belong to. */
  worktree: v.string(),
  createdAt: v.number(),
  /**
   * `kept`: not restored automatically (conflict, vanished, another branch of the same name); the user may restore it.
   */
  state: v.picklist(['stashed', 'kept']),
  reason: v.picklist(['switch', 'branched', 'vanished', 'conflict', 'replaced']),
  files: v.array(stashedFileSchema),
  /** Time at which the stash was moved to the trash. */
  droppedAt: v.nullable(v.number()),
});
export type Owner = v.InferOutput<typeof ownerSchema>;

export class StashFolder {
  readonly directory: string;
  owner: Owner;

  constructor(directory: string, owner: Owner) {
    this.directory = directory;
    this.owner = owner;
  }

  /**
   * Writes the stash's record ahead of moving. `present` files will be moved in; `stored` ones are in the store alone.
   * A listed file that was not moved yet is still in its place.
   */
  static create(
    store: string,
    facts: Pick<Owner, 'branch' | 'branchId' | 'tip' | 'worktree' | 'state' | 'reason'>,
    present: readonly Omit<StashedFile, 'number'>[],
    stored: readonly Omit<StashedFile, 'number'>[],
  ): StashFolder {
    const id = randomId();
    const directory = join(store, 'shelf', id);
    mkdirSync(join(directory, 'files'), { recursive: true, mode: 0o700 });
    const files = [
      ...present.map((file, number) => ({ ...file, number })),
      ...stored.map((file) => ({ ...file, number: null })),
    ];
    const entry = new StashFolder(directory, {
      format: 1,
      id,
      createdAt: Date.now(),
      droppedAt: null,
      ...facts,
      files,
    });
    entry.write();
    syncDirectory(dirname(directory));
    return entry;
  }

  /** Lists all readable stashes, the oldest first. Leaves unreadable ones as they are. */
  static all(store: string): StashFolder[] {
    const entries = foldersOf(store).flatMap((folder) => StashFolder.#at(folder) ?? []);
    return entries.sort((a, b) => a.owner.createdAt - b.owner.createdAt);
  }

  /** Tells whether some stashes cannot be read: nobody knows which files they refer to. */
  static someAreUnreadable(store: string): boolean {
    return foldersOf(store).some((folder) => !StashFolder.#at(folder));
  }

  static #at(folder: string): StashFolder | null {
    const parsed = v.safeParse(ownerSchema, readJson(join(folder, 'owner.json')));
    return parsed.success && parsed.output.id === basename(folder) ? new StashFolder(folder, parsed.output) : null;
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

  /** Returns the path of a stashed file. Throws `unsafeName` for a link. */
  pathOf({ number }: Pick<StashedFile, 'number'>): string {
    return inside(this.directory, `files/${number}`);
  }

  has(file: Pick<StashedFile, 'number'>): boolean {
    if (file.number === null) return false;
    try {
      return lstatSync(this.pathOf(file), { throwIfNoEntry: false })?.isFile() ?? false;
    } catch (error) {
      if (isError(error, 'unsafeName')) return false;
      throw error;
    }
  }

  /** Renames a file from the tree into the stash. Throws EXDEV across devices. */
  moveIn(file: StashedFile, from: Buffer): void {
    durableStep();
    renameSync(from, this.pathOf(file));
  }

  /**
   * Renames a file from the stash to its place. Returns false, and leaves both, if something is there. Throws EXDEV
   * across devices.
   */
  moveOut(file: StashedFile, to: Buffer): boolean {
    return renameIfAbsent(this.pathOf(file), to);
  }

  /**
   * Removes the stashed copy of a file that is in the store, unless it differs from what was stored. Returns the bytes
   * freed.
   */
  evict(file: StashedFile): number {
    const { size, mtimeMs } = statSync(this.pathOf(file));
    if (size !== file.bytes || Math.abs(mtimeMs - file.mtimeMs) >= 1) return 0;
    unlinkSync(this.pathOf(file));
    return size;
  }

  /** Makes renames in the stash's folder durable. */
  sync(): void {
    syncDirectory(join(this.directory, 'files'));
  }

  remove(): void {
    durableStep();
    rmSync(this.directory, { recursive: true, force: true });
    syncDirectory(dirname(this.directory));
  }
}

/** Renames `from` to `to`. Returns false if `to` exists: `link` fails where `rename` would replace. */
export function renameIfAbsent(from: string, to: Buffer): boolean {
  mkdirSync(dirnameOf(to), { recursive: true });
  durableStep();
  try {
    linkSync(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') {
      // The process died between link and unlink: the file is there already.
      if (!isSameFile(from, to)) return false;
      unlinkSync(from);
      return true;
    }
    // File systems without hard links (exFAT): check, then rename. There is no atomic way.
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

/** Restores times and mode: scripts choose files by time, and read-only files stay read-only. */
export function restoreAttributes(path: string | Buffer, file: Pick<StashedFile, 'mode' | 'mtimeMs'>): void {
  utimesSync(path, file.mtimeMs / 1000, file.mtimeMs / 1000);
  // Without setuid and setgid bits: no checkpoint has them.
  chmodSync(path, file.mode & 0o777);
}

/** Makes renames in the folders of these files durable. */
export function syncParents(root: string, paths: readonly RawPath[]): void {
  for (const parent of new Set(paths.map(parentOf))) {
    try {
      syncDirectory(absolute(root, parent));
    } catch (error) {
      // A folder that is gone again contains none of our files.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

function dirnameOf(path: Buffer): Buffer {
  return path.subarray(0, path.lastIndexOf(0x2f));
}

/** Lists subfolders only: the target of a link is not the store's. */
export function subfoldersOf(folder: string): string[] {
  try {
    const entries = readdirSync(folder, { withFileTypes: true });
    return entries.flatMap((entry) => (entry.isDirectory() ? [entry.name] : []));
  } catch {
    return [];
  }
}

function foldersOf(store: string): string[] {
  const shelf = join(store, 'shelf');
  return subfoldersOf(shelf).map((name) => join(shelf, name));
}
