/**
 * Moves files out of the tree and back into it. The process may die after any step; the next call finishes the rest.
 */
import { constants, lstatSync, mkdirSync, rmSync, unlinkSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { syncFile, TEMPORARY_PREFIX } from '../../base/files.ts';
import { inside } from '../../base/inside.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import type { Store } from '../store/client.ts';
import type { KnownFile } from './active-branch.ts';
import { absolute, parentOf, type RawPath, shown } from './paths.ts';
import { Slices } from './slices.ts';
import {
  type Owner,
  renameIfAbsent,
  restoreAttributes,
  type StashedFile,
  StashFolder,
  syncParents,
} from './stash-folder.ts';
import { type FoundFile, findFile } from './working-set.ts';

export type FileStore = Pick<Store, 'saveFile' | 'restoreFile' | 'keepOnlyFiles'>;

/** Folder that files are moved from and to. */
export interface Tree {
  root: string;
  /** Folders that are links and may be followed, in the form that `inside` takes. */
  links: ReadonlySet<string>;
  seen?: Set<string>;
}

/**
 * Moves the files that an entry lists from the tree into the stash. A file on another device goes through the store: it
 * leaves the tree only once it is committed there. Throws when that fails; files that were moved stay moved and listed.
 */
export async function stashFiles(entry: StashFolder, store: FileStore, tree: Tree): Promise<number> {
  const { root } = tree;
  const seen = new Set<string>();
  const moved: RawPath[] = [];
  const slices = new Slices();
  try {
    for (const file of entry.owner.files) {
      if (slices.isOver) await slices.next();
      if (file.number === null || entry.has(file)) continue;
      if (await stashFile(entry, file, store, { ...tree, seen })) moved.push(file.path);
    }
  } finally {
    entry.sync();
    syncParents(root, moved);
  }
  return moved.length;
}

async function stashFile(entry: StashFolder, file: StashedFile, store: FileStore, tree: Tree): Promise<boolean> {
  const { root, links } = tree;
  const { branch } = entry.owner;
  // Behind an undeclared link: the file never belonged to this branch.
  const path = pathInTree(file, tree);
  if (!path) return false;
  try {
    entry.moveIn(file, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Its owner removed it meanwhile.
    if (code === 'ENOENT' || code === 'ENOTDIR') return false;
    if (code !== 'EXDEV') throw error;
  }
  const found = findFile(root, file.path, links);
  if (!found) return false;
  const saved = await store.saveFile({ root, branch, path: file.path, expected: found });
  if (!saved) throw new Error(`${shown(file.path)} is on another file system, and the store has no space for a copy`);
  // Written before the file is unlinked: from here on only the entry knows where its content is.
  file.bytes = found.bytes;
  file.saved = saved.id;
  entry.write();
  unlinkSync(path);
  return true;
}

export interface RestoreResult {
  placed: RawPath[];
  conflicts: RawPath[];
}

/**
 * Puts an entry's files back below `root`, from the stash or else from the store; with `copy` the stash keeps its
 * files. Replaces nothing: where another file is in the way, the stashed one stays in the stash. A file in place with
 * the same content counts as restored.
 */
export async function restoreFiles(
  entry: StashFolder,
  store: FileStore,
  tree: Tree,
  copy = false,
): Promise<RestoreResult> {
  const { root } = tree;
  const seen = new Set<string>();
  const placed: RawPath[] = [];
  const conflicts: RawPath[] = [];
  const slices = new Slices();
  try {
    for (const file of entry.owner.files) {
      if (slices.isOver) await slices.next();
      const result = await restoreFile(entry, file, store, { ...tree, seen }, copy);
      if (result === 'conflict') conflicts.push(file.path);
      else if (result === 'placed') placed.push(file.path);
    }
  } finally {
    entry.sync();
    syncParents(root, placed);
  }
  return { placed, conflicts };
}

async function restoreFile(
  entry: StashFolder,
  file: StashedFile,
  store: FileStore,
  tree: Tree,
  copy: boolean,
): Promise<'placed' | 'conflict' | 'there' | 'lost'> {
  const target = pathInTree(file, tree);
  // An undeclared link, or a file, is in the place of a parent folder: the file stays stashed.
  if (!target) return 'conflict';
  if (entry.has(file)) {
    if (copy) return copyNew(entry, file, target);
    try {
      return entry.moveOut(file, target) ? 'placed' : 'conflict';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
      const result = await copyNew(entry, file, target);
      if (result === 'placed') unlinkSync(entry.pathOf(file));
      return result;
    }
  }
  // Restored before, or removed by someone else.
  if (file.saved === null) return 'lost';
  const present = lstatSync(target, { throwIfNoEntry: false });
  if (present)
    return present.isFile() && present.size === file.bytes && sameTime(present.mtimeMs, file) ? 'there' : 'conflict';
  // Next to the target, so that the last step is a rename whatever device that is on.
  const folder = absolute(tree.root, parentOf(file.path));
  mkdirSync(folder, { recursive: true });
  const temporary = temporaryIn(folder, entry);
  rmSync(temporary, { force: true });
  try {
    await store.restoreFile(file.saved, temporary);
  } catch (error) {
    // Damaged or lost in the store: the other files come back, and this one stays listed and is reported.
    if (error instanceof TrainstashError && (error.code === 'corrupted' || error.code === 'notFound'))
      return 'conflict';
    throw error;
  }
  restoreAttributes(temporary, file);
  if (renameIfAbsent(temporary, target)) return 'placed';
  rmSync(temporary, { force: true });
  return 'conflict';
}

async function copyNew(entry: StashFolder, file: StashedFile, target: Buffer): Promise<'placed' | 'conflict'> {
  if (lstatSync(target, { throwIfNoEntry: false })) return 'conflict';
  const folder = target.subarray(0, target.lastIndexOf(0x2f));
  mkdirSync(folder, { recursive: true });
  const temporary = temporaryIn(folder, entry);
  rmSync(temporary, { force: true });
  await copyFile(entry.pathOf(file), temporary, constants.COPYFILE_EXCL);
  restoreAttributes(temporary, file);
  // The stashed copy may be deleted after this, so this copy must be on the disk first.
  syncFile(temporary);
  if (renameIfAbsent(temporary, target)) return 'placed';
  rmSync(temporary, { force: true });
  return 'conflict';
}

/** Resolves a file's path below the root; null: it leads through something outside the tree. */
function pathInTree({ path }: StashedFile, { root, links, seen }: Tree): Buffer | null {
  try {
    return inside(root, Buffer.from(path, 'latin1'), { links, seen, atEnd: 'link' });
  } catch (error) {
    if (isError(error, 'unsafeName')) return null;
    throw error;
  }
}

/** Returns one temporary name for each entry, so that the next try replaces what a crash left. */
function temporaryIn(folder: Buffer, entry: StashFolder): string {
  return join(folder.toString(), `${TEMPORARY_PREFIX}${entry.owner.id}`);
}

/** Compares times; restored ones are exact to a microsecond only. */
function sameTime(mtimeMs: number, file: StashedFile): boolean {
  return Math.abs(mtimeMs - file.mtimeMs) < 1;
}

/** Window in which missing files count as one loss: several looks may be needed to see all of them. */
const SAME_LOSS_MS = 60_000;

/** Offers the store's copies of files that are no longer in the tree. Files that vanished together share one entry. */
export function offerStored(
  storePath: string,
  facts: Pick<Owner, 'branch' | 'branchId' | 'tip' | 'worktree'> & { reason: 'vanished' | 'replaced' },
  files: readonly [RawPath, KnownFile][],
): StashFolder {
  const stored = files.map(describeStored);
  const paths = new Set(stored.map(({ path }) => path));
  const earlier = StashFolder.all(storePath).find(
    ({ owner }) =>
      owner.reason === facts.reason &&
      owner.branchId === facts.branchId &&
      owner.worktree === facts.worktree &&
      owner.droppedAt === null &&
      Date.now() - owner.createdAt < SAME_LOSS_MS &&
      !owner.files.some(({ path }) => paths.has(path)),
  );
  if (!earlier) return StashFolder.create(storePath, { ...facts, state: 'kept' }, [], stored);
  earlier.update({ files: [...earlier.owner.files, ...stored.map((file) => ({ ...file, number: null }))] });
  return earlier;
}

/** Describes a file that is gone from the tree but in the store. */
export function describeStored([path, { bytes, mtimeMs, mode, run, saved }]: [RawPath, KnownFile]): Omit<
  StashedFile,
  'number'
> {
  return { path, bytes, mtimeMs, mode, run, saved };
}

export function describeFound(
  found: FoundFile,
  known: { run: string | null; saved: string | null } | undefined,
): Omit<StashedFile, 'number'> {
  const { path, bytes, mtimeMs, mode } = found;
  return { path, bytes, mtimeMs, mode, run: known?.run ?? null, saved: known?.saved ?? null };
}
