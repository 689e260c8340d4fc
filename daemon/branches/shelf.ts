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
import { dirname, join } from 'node:path';
import * as v from 'valibot';
import { randomId } from '../../protocol/ids.ts';
import { readJson, syncDirectory, writeJson } from '../store/files.ts';
import { durableStep } from './crash.ts';
import { absolute, parentOf, type RawPath } from './paths.ts';

const shelvedFileSchema = v.object({
  /** Its name on the shelf, since its own may be anything; null: it was gone before, and only the store has it. */
  number: v.nullable(v.number()),
  path: v.pipe(
    v.string(),
    v.transform((path) => path as RawPath),
  ),
  bytes: v.number(),
  mtimeMs: v.number(),
  mode: v.number(),
  run: v.nullable(v.string()),
  /** Its row in the store; null: only this shelf has it. */
  saved: v.nullable(v.string()),
});
export type ShelvedFile = v.InferOutput<typeof shelvedFileSchema>;

const ownerSchema = v.object({
  format: v.literal(1),
  id: v.string(),
  /** By the name that it had when HEAD left it. */
  branch: v.string(),
  /** The branch's id, which it keeps when it is renamed. */
  branchId: v.string(),
  /** The branch's commit when HEAD left it. */
  tip: v.nullable(v.string()),
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
    const folder = join(store, 'shelf');
    const entries = listedIn(folder).flatMap((id) => {
      const parsed = v.safeParse(ownerSchema, readJson(join(folder, id, 'owner.json')));
      return parsed.success ? [new ShelfEntry(join(folder, id), parsed.output)] : [];
    });
    return entries.sort((a, b) => a.owner.createdAt - b.owner.createdAt);
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

  shelved({ number }: Pick<ShelvedFile, 'number'>): string {
    return join(this.directory, 'files', String(number));
  }

  has(file: Pick<ShelvedFile, 'number'>): boolean {
    return file.number !== null && lstatSync(this.shelved(file), { throwIfNoEntry: false }) !== undefined;
  }

  /** Renames a file from its place onto the shelf. Throws EXDEV from another device. */
  take(file: ShelvedFile, root: string): void {
    durableStep();
    renameSync(absolute(root, file.path), this.shelved(file));
  }

  /**
   * Renames a file from the shelf to its place, unless something is there: then false, and both stay. Throws EXDEV to
   * another device.
   */
  give(file: ShelvedFile, root: string): boolean {
    return placeNew(this.shelved(file), absolute(root, file.path));
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
  chmodSync(path, file.mode);
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

export function listedIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
