/** Saves files of a worktree that follow its branch: one saved row each. */
import { createHash } from 'node:crypto';
import { type BigIntStats, linkSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { TrainstashError } from '../../../protocol/errors.ts';
import { randomId } from '../../../protocol/ids.ts';
import type { Save } from '../objects/chunks.ts';
import type { Hasher } from '../objects/hasher.ts';
import { FileChanged } from '../objects/hashing.ts';
import type { Objects, SavedFile } from '../objects/objects.ts';
import { storeFile } from './file-io.ts';
import { type RestoreThreads, restoreFile } from './restoring.ts';
import { filesOf } from './writer.ts';

/** Body of a saved row of kind `file`. */
export interface KeptFileBody {
  /** Path relative to the worktree, one character for each byte. */
  path: string;
  root: string;
  branch: string;
  digest: string;
  files: SavedFile[];
}

export interface KeptFileSource {
  root: string;
  branch: string;
  /** Path with one character for each byte. */
  path: string;
  /** State of the file when saving was decided. */
  expected: { ino: string; bytes: number; mtimeMs: number };
}

/**
 * Saves a file. Throws `FileChanged` when it differs from the expected state before or after it was read: a file that
 * somebody is writing is not saved.
 */
export async function saveKeptFile(
  store: string,
  objects: Objects,
  hasher: Hasher,
  source: KeptFileSource,
): Promise<{ id: string; added: number }> {
  const { root, branch, path, expected } = source;
  const bytes = Buffer.concat([Buffer.from(`${root}/`), Buffer.from(path, 'latin1')]);
  const id = randomId();
  // The code below takes paths as text. A name that is not text gets a temporary alias.
  const text = bytes.toString('utf8');
  const alias = Buffer.from(text, 'utf8').equals(bytes) ? null : join(store, `.reading-${id}`);
  if (alias) linkSync(bytes, alias);
  const save: Save = objects.beginSave();
  try {
    requireUnchanged(bytes, expected);
    const name = createHash('sha256').update(`${root}\0${path}`).digest('hex');
    const known = objects.newestHashes(name);
    const stored = await storeFile(objects, hasher, save, alias ?? text, path, known);
    requireUnchanged(bytes, expected);
    const { chunks, chunkIds, digest, added } = stored;
    const body: KeptFileBody = { path, root, branch, digest, files: [{ name: path, bytes: stored.bytes, chunks }] };
    objects.commit(
      { id, kind: 'file', run: name, created: Date.now(), body: JSON.stringify(body), metrics: null },
      chunkIds,
    );
    return { id, added };
  } finally {
    objects.endSave(save);
    if (alias) rmSync(alias, { force: true });
  }
}

/** Writes a file to a new path, where it appears only when it is complete, verified and fsynced. Throws `corrupted`. */
export async function restoreKeptFile(
  objects: Objects,
  threads: RestoreThreads,
  id: string,
  target: string,
): Promise<void> {
  const row = objects.saved(id);
  if (row?.kind !== 'file')
    throw new TrainstashError('notFound', `The store has no file ${id}.`, { what: 'checkpoint', query: id });
  const chunks = filesOf(objects, row).flatMap((file) => file.chunks);
  await restoreFile(
    objects,
    threads,
    chunks.map((chunk) => chunk.id),
    target,
  );
}

/** Forgets all but these. Returns the number of forgotten files; the next sweep deletes their chunks. */
export function forgetKeptFiles(objects: Objects, keep: ReadonlySet<string>): number {
  const doomed = [...objects.allSaved('file')].map(({ id }) => id).filter((id) => !keep.has(id));
  for (const id of doomed) objects.forget(id);
  return doomed.length;
}

function requireUnchanged(path: Buffer, expected: KeptFileSource['expected']): void {
  const stat = statOrNull(path);
  const now = stat && { ino: `${stat.dev}:${stat.ino}`, bytes: Number(stat.size), mtimeMs: Number(stat.mtimeNs) / 1e6 };
  if (now?.ino === expected.ino && now.bytes === expected.bytes && now.mtimeMs === expected.mtimeMs) return;
  throw new FileChanged(`${path.toString()} changed while it was being stored`);
}

function statOrNull(path: Buffer): BigIntStats | null {
  return statSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}
