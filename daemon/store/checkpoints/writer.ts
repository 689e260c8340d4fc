/** Saves a checkpoint's directory as a row, and restores files from a row. */
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as v from 'valibot';
import { readJson, syncDirectory } from '../../../base/files.ts';
import { inside } from '../../../base/inside.ts';
import { Pending } from '../../../base/pending.ts';
import type { Checkpoint, Run, Session } from '../../../protocol/domain.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import {
  CHECKPOINT_FILE,
  type CheckpointFile,
  checkpointFileSchema,
  FITS_FILE,
  FITS_FOLDER,
  SHARDS_FOLDER,
  SHARDS_INDEX,
  STATE_FILE,
  TORCH_STATE_FILE,
} from '../../../protocol/session.ts';
import type { Metrics } from '../catalog/metrics.ts';
import { type Points, where } from '../catalog/points.ts';
import { bodyOf, keptBodyOf } from '../catalog/rows.ts';
import type { Save } from '../objects/chunks.ts';
import type { Hasher } from '../objects/hasher.ts';
import { FileChanged, hashFile } from '../objects/hashing.ts';
import { MAX_CHUNK_BYTES } from '../objects/limits.ts';
import type { Objects, SavedFile, SavedRow } from '../objects/objects.ts';
import { type CheckpointBody, checkpointOf } from './body.ts';
import { type StoredFile, storeFile } from './file-io.ts';
import { type RestoreThreads, restoreFile } from './restoring.ts';

/** Limit of metrics, two hundred million points: Trainstash did not write more, and memory could not hold it. */
const MAX_METRIC_BYTES = 1 << 30;
const metricHeadSchema = v.array(v.tuple([v.string(), v.pipe(v.number(), v.safeInteger(), v.minValue(0))]));

export interface CheckpointSource {
  directory: string;
  run: Run;
  session: Session;
}

/** Saves a checkpoint. The files must not change meanwhile (`FileChanged` if they do). Safe to repeat. */
export async function saveCheckpoint(
  objects: Objects,
  hasher: Hasher,
  metrics: Metrics,
  source: CheckpointSource,
): Promise<Checkpoint> {
  const facts = readFacts(source.directory);
  const known = objects.saved(facts.id);
  if (known) return checkpointOf(known, objects.marks(known.seq));
  const save: Save = objects.beginSave();
  try {
    const files: StoredFile[] = [];
    const expected = objects.newestHashes(source.run.id);
    for (const file of facts.files) {
      const path = handedOver(facts.id, source.directory, file.name);
      requireAsDescribed(facts.id, path, file);
      files.push(await storeFile(objects, hasher, save, path, file.name, expected));
      requireAsDescribed(facts.id, path, file);
    }
    const body: CheckpointBody = {
      checkpoint: facts,
      stateDigest: facts.sum ?? stateDigest(files),
      storedBytes: files.reduce((sum, file) => sum + file.added, 0),
      files: files.map(({ name, bytes, chunks }) => ({ name, bytes, chunks })),
      run: source.run,
      session: source.session,
    };
    const row = {
      id: facts.id,
      kind: 'checkpoint' as const,
      run: source.run.id,
      created: facts.createdAt,
      body: JSON.stringify(body),
      metrics: packMetrics(metrics, source.session.id, sinceParent(objects, facts, source.session)),
    };
    const seq = objects.commit(
      row,
      files.flatMap((file) => file.chunkIds),
    );
    return checkpointOf({ ...row, seq }, []);
  } finally {
    objects.endSave(save);
  }
}

/** Returns the path of a file. A link among the files stays a link, so the checkpoint itself is refused. */
function handedOver(id: string, directory: string, name: string): string {
  try {
    return inside(directory, name);
  } catch (error) {
    if (isError(error, 'unsafeName')) throw refused(id, error.data.problem);
    throw error;
  }
}

/** Computes the digest that `saveCheckpoint` would give, without storing anything. */
export function digestOf(directory: string): string {
  const facts = readFacts(directory);
  if (facts.sum) return facts.sum;
  const files = facts.files.map(({ name }) => {
    const digest = createHash('sha256');
    hashFile(
      inside(directory, name),
      () => Buffer.allocUnsafe(MAX_CHUNK_BYTES),
      (chunk) => digest.update(chunk.hash),
    );
    return { name, digest: digest.digest('hex') };
  });
  return stateDigest(files);
}

/**
 * Computes the digest of a state; equal states have equal ones. The shards of a distributed state are part of it, other
 * fits are not.
 */
function stateDigest(files: readonly { name: string; digest: string }[]): string {
  const state = files.find(({ name }) => name === STATE_FILE || name === TORCH_STATE_FILE);
  const shards = files.filter(({ name }) => name.startsWith(SHARDS_FOLDER));
  if (state && shards.length === 0) return state.digest;
  const hash = createHash('sha256');
  for (const { name, digest } of files) {
    if (name === FITS_FILE || name.startsWith(FITS_FOLDER)) continue;
    // torch gives each index a new id.
    if (!(state && name === SHARDS_INDEX)) hash.update(`${name}\0${digest}\n`);
  }
  return hash.digest('hex');
}

/**
 * Writes the checkpoint's files into `directory`, which appears only when all files are there, verified and fsynced.
 */
export async function restoreCheckpoint(
  store: string,
  objects: Objects,
  threads: RestoreThreads,
  id: string,
  directory: string,
): Promise<{ files: string[]; bytes: number }> {
  const row = objects.saved(id);
  if (!row) throw new TrainstashError('notFound', `There is no checkpoint ${id}.`, { what: 'checkpoint', query: id });
  if (isTaken(directory))
    throw new TrainstashError(
      'outputExists',
      `${directory} exists already. Nothing was written. Choose another path, or move it away.`,
      {
        path: directory,
      },
    );
  const pending = new Pending(store, directory);
  const temporary = pending.path;
  try {
    let bytes = 0;
    const files = filesOf(objects, row);
    for (const { name, chunks } of files) {
      const ids = chunks.map((chunk) => chunk.id);
      bytes += await restoreFile(objects, threads, ids, freePlace(id, temporary, name));
    }
    // Also for a checkpoint without files.
    mkdirSync(temporary, { recursive: true });
    syncDirectory(temporary);
    await rename(temporary, directory);
    syncDirectory(dirname(directory));
    return { files: files.map((file) => file.name), bytes };
  } catch (error) {
    if (error instanceof TrainstashError && error.code === 'corrupted')
      throw new TrainstashError(
        'corrupted',
        `Checkpoint ${id} cannot be restored: ${error.message} Nothing was written.`,
        {
          ...(error.data as object),
          checkpoint: id,
        },
      );
    throw error;
  } finally {
    pending.close();
  }
}

/** Tells whether a path is in use; an empty folder is not. */
function isTaken(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  return stat !== undefined && !(stat.isDirectory() && readdirSync(path).length === 0);
}

/** File of a saved row with its chunks, in order. */
export interface ChunkedFile extends Pick<SavedFile, 'name' | 'bytes'> {
  chunks: { id: number; size: number; hash: Uint8Array }[];
}

/** Lists the files of a row. Throws `corrupted` when the row contradicts its chunks. */
export function filesOf(objects: Objects, row: SavedRow): ChunkedFile[] {
  const { files } = row.kind === 'file' ? keptBodyOf(row) : bodyOf(row);
  const all = objects.describeChunks(row.seq);
  let from = 0;
  const chunked = files.map(({ name, bytes, chunks: count }) => {
    const chunks = all.slice(from, from + count);
    from += count;
    const size = chunks.reduce((sum, chunk) => sum + chunk.size, 0);
    if (chunks.length < count)
      throw damaged(row.id, `${count - chunks.length} of the ${count} chunks of ${name} are missing`);
    if (size !== bytes) throw damaged(row.id, `${name} has ${size} bytes instead of the recorded ${bytes}`);
    return { name, bytes, chunks };
  });
  if (from !== all.length) throw damaged(row.id, `${all.length - from} of its chunks belong to no file`);
  return chunked;
}

/** Returns an unused path: names that this file system considers equal would replace each other. */
function freePlace(id: string, folder: string, name: string): string {
  const path = inside(folder, name);
  if (existsSync(path)) throw damaged(id, `${name} has the same name as another of its files on this file system`);
  return path;
}

function readFacts(directory: string): CheckpointFile {
  const parsed = v.safeParse(checkpointFileSchema, readJson(join(directory, CHECKPOINT_FILE)));
  if (!parsed.success) throw refused(basename(directory), `${CHECKPOINT_FILE} is malformed`);
  return parsed.output;
}

/**
 * Checks the file, also after it was read: a script may have written it again, and the content read is then neither
 * version.
 */
function requireAsDescribed(id: string, path: string, { name, bytes, stat }: CheckpointFile['files'][number]): void {
  const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
  const now = found && { size: Number(found.size), mtimeNs: found.mtimeNs };
  if (stat && (now?.size !== bytes || Number(now.mtimeNs) / 1e6 !== stat.mtimeMs)) throw new FileChanged(path);
  if (now?.size !== bytes) throw refused(id, `${name} does not have the size that ${CHECKPOINT_FILE} states`);
}

function refused(id: string, problem: string): TrainstashError {
  return new TrainstashError('corrupted', `Checkpoint ${id} was not taken in: ${problem}.`, { checkpoint: id });
}

function damaged(id: string, problem: string): TrainstashError {
  return new TrainstashError('corrupted', `The stored data of ${id} is damaged: ${problem}.`, { checkpoint: id });
}

interface Since {
  from: number;
  to: number;
  /** Evaluations of earlier checkpoints that were logged after this time are new as well. */
  time: number;
}

function sinceParent(objects: Objects, facts: CheckpointFile, session: Session): Since {
  const parent = facts.parent === null ? undefined : objects.saved(facts.parent);
  const parentBody = parent && soundBodyOf(parent);
  if (parentBody?.session.id !== session.id)
    return { from: session.resumedFrom?.step ?? -1, to: facts.step, time: Number.NEGATIVE_INFINITY };
  return { from: parentBody.checkpoint.step, to: facts.step, time: parentBody.checkpoint.createdAt };
}

/** Reads a body; null when it cannot be read: an earlier damaged checkpoint does not affect the one being saved. */
export function soundBodyOf(row: SavedRow): CheckpointBody | null {
  try {
    return bodyOf(row);
  } catch (error) {
    if (isError(error, 'corrupted')) return null;
    throw error;
  }
}

// ---- metrics of a checkpoint: a JSON line of [name, count], then each series' columns, in order of arrival ----

function packMetrics(metrics: Metrics, session: string, { from, to, time }: Since): Uint8Array | null {
  const series = metrics.names(session).map((name) => {
    const points = metrics.read(session, name);
    const { steps, times } = points;
    return { name, points: where(points, (i) => steps[i]! <= to && (steps[i]! > from || times[i]! > time)) };
  });
  const filled = series.filter(({ points }) => points.steps.length > 0);
  if (filled.length === 0) return null;
  const head = Buffer.from(`${JSON.stringify(filled.map(({ name, points }) => [name, points.steps.length]))}\n`);
  const columns = filled.flatMap(({ points }) => [points.steps, points.values, points.times]);
  return zstdCompressSync(
    Buffer.concat([head, ...columns.map((c) => Buffer.from(c.buffer, c.byteOffset, c.byteLength))]),
  );
}

/** Unpacks metrics; empty when they cannot be read: the events of the session may still tell. */
export function unpackMetrics(packed: Uint8Array): { name: string; points: Points }[] {
  try {
    return unpack(zstdDecompressSync(packed, { maxOutputLength: MAX_METRIC_BYTES }));
  } catch {
    return [];
  }
}

function unpack(bytes: Buffer): { name: string; points: Points }[] {
  const headEnd = bytes.indexOf(10) + 1;
  const head = v.parse(metricHeadSchema, JSON.parse(bytes.toString('utf8', 0, headEnd)));
  const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset + headEnd, bytes.byteOffset + bytes.length));
  let at = 0;
  return head.map(([name, count]) => {
    const column = () => {
      at += count;
      if (at > numbers.length) throw new RangeError('more points are listed than stored');
      return numbers.subarray(at - count, at);
    };
    return { name, points: { steps: column(), values: column(), times: column() } };
  });
}
