/** A checkpoint's directory becomes a saved row; a saved row becomes files again. */
import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import * as v from 'valibot';
import { type Checkpoint, fromWireNumber, type Proof, type Run, type Session } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import {
  CHECKPOINT_FILE,
  type CheckpointFile,
  checkpointFileSchema,
  STATE_FILE,
  TORCH_STATE_FILE,
} from '../../protocol/session.ts';
import { MAX_CHUNK_BYTES } from './chunking.ts';
import type { Coders } from './coders.ts';
import { parseDoubt, withDoubts } from './doubts.ts';
import { readJson, syncDirectory } from './files.ts';
import type { Hasher } from './hasher.ts';
import { FileChanged, hashFile } from './hashing.ts';
import type { Metrics, Points, Segment } from './metrics.ts';
import type { MarkKind, Objects, Save, SavedFile, SavedRow } from './objects.ts';
import { restoreFile, type StoredFile, storeFile } from './transfer.ts';

/** `body` of a saved row of kind `checkpoint`: enough to rebuild the catalog's rows from. */
export interface CheckpointBody {
  checkpoint: CheckpointFile;
  stateDigest: string;
  storedBytes: number;
  files: SavedFile[];
  run: Run;
  session: Session;
}

export interface CheckpointSource {
  directory: string;
  run: Run;
  session: Session;
}

/** Commits a checkpoint. The files must not change meanwhile (`FileChanged` if they do). Safe to repeat. */
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
      const path = join(source.directory, file.name);
      requireAsDescribed(facts.id, path, file);
      files.push(await storeFile(objects, hasher, save, path, file.name, expected));
      requireAsDescribed(facts.id, path, file);
    }
    const body: CheckpointBody = {
      checkpoint: facts,
      stateDigest: stateDigest(files),
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
      metrics: packMetrics(metrics, sinceParent(objects, facts, source.session)),
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

/** The digest that `saveCheckpoint` would give, without storing anything. */
export function digestOf(directory: string): string {
  const facts = readFacts(directory);
  const files = facts.files.map(({ name }) => {
    const digest = createHash('sha256');
    hashFile(
      join(directory, name),
      () => Buffer.allocUnsafe(MAX_CHUNK_BYTES),
      (chunk) => digest.update(chunk.hash),
    );
    return { name, digest: digest.digest('hex') };
  });
  return stateDigest(files);
}

function stateDigest(files: readonly { name: string; digest: string }[]): string {
  const state = files.find(({ name }) => name === STATE_FILE || name === TORCH_STATE_FILE);
  if (state) return state.digest;
  const hash = createHash('sha256');
  for (const { name, digest } of files) hash.update(`${name}\0${digest}\n`);
  return hash.digest('hex');
}

/** Writes the checkpoint's files into `directory`, which appears only when all are there, verified and fsynced. */
export async function restoreCheckpoint(
  objects: Objects,
  coders: Coders,
  id: string,
  directory: string,
): Promise<{ files: string[]; bytes: number }> {
  const row = objects.saved(id);
  if (!row) throw new TrainstashError('notFound', `There is no checkpoint ${id}.`, { what: 'checkpoint', query: id });
  const { files } = JSON.parse(row.body) as CheckpointBody;
  const temporary = join(dirname(directory), `.tmp-${basename(directory)}-${Math.random().toString(36).slice(2)}`);
  try {
    let from = 0;
    let bytes = 0;
    const chunks = objects.chunksOf(row.seq);
    for (const file of files) {
      bytes += await restoreFile(objects, coders, chunks.slice(from, from + file.chunks), join(temporary, file.name));
      from += file.chunks;
    }
    syncDirectory(temporary);
    await rename(temporary, directory);
    syncDirectory(dirname(directory));
    return { files: files.map((file) => file.name), bytes };
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
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
  }
}

export function checkpointOf(row: SavedRow, marks: readonly { kind: MarkKind; value: string }[]): Checkpoint {
  const { checkpoint, stateDigest: digest, storedBytes, files, session } = JSON.parse(row.body) as CheckpointBody;
  const mark = (kind: MarkKind) => marks.find((entry) => entry.kind === kind)?.value;
  const proofText = mark('proof');
  const proof = proofText === undefined ? null : (JSON.parse(proofText) as Proof);
  const trash = mark('trash');
  const doubts = marks.flatMap(({ kind, value }) => (kind === 'doubt' ? (parseDoubt(value) ?? []) : []));
  const shown: Checkpoint = {
    id: row.id,
    run: row.run,
    session: session.id,
    step: checkpoint.step,
    epoch: checkpoint.epoch,
    createdAt: checkpoint.createdAt,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    storedBytes,
    reasons: checkpoint.reasons,
    tags: marks.filter((entry) => entry.kind === 'tag').map((entry) => entry.value),
    grade: gradeOf(checkpoint.grade, proof),
    missing: checkpoint.missing,
    ingredients: checkpoint.ingredients,
    proof,
    stateDigest: digest,
    parent: checkpoint.parent,
    metrics: Object.fromEntries(
      Object.entries(checkpoint.metrics).map(([name, value]) => [name, fromWireNumber(value)]),
    ),
    trashedAt: trash === undefined ? null : Number(trash),
  };
  return withDoubts(shown, doubts);
}

/** A proof can raise a complete checkpoint to verified and lower it when state was shown to be missing; no more. */
function gradeOf(declared: CheckpointFile['grade'], proof: Proof | null): Checkpoint['grade'] {
  if (declared !== 'complete' || proof === null) return declared;
  if (proof.verdict === 'equal') return 'verified';
  return proof.verdict === 'state missing' ? 'partial' : 'complete';
}

function readFacts(directory: string): CheckpointFile {
  const parsed = v.safeParse(checkpointFileSchema, readJson(join(directory, CHECKPOINT_FILE)));
  if (!parsed.success) throw damaged(basename(directory), `${CHECKPOINT_FILE} is not what it should be`);
  return parsed.output;
}

/** Also after it was read: a script may have written its file once more, and what was read is then neither of both. */
function requireAsDescribed(id: string, path: string, { name, bytes, stat }: CheckpointFile['files'][number]): void {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false });
  const now = found && { size: Number(found.size), mtimeNs: found.mtimeNs };
  if (stat && (now?.size !== bytes || Number(now.mtimeNs) / 1e6 !== stat.mtimeMs)) throw new FileChanged(path);
  if (now?.size !== bytes) throw damaged(id, `${name} has not the size that ${CHECKPOINT_FILE} says`);
}

function damaged(id: string, problem: string): TrainstashError {
  return new TrainstashError('corrupted', `Checkpoint ${id} was not taken in: ${problem}.`, { checkpoint: id });
}

function sinceParent(objects: Objects, facts: CheckpointFile, session: Session): Segment {
  const parent = facts.parent === null ? undefined : objects.saved(facts.parent);
  const parentBody = parent && (JSON.parse(parent.body) as CheckpointBody);
  const from = parentBody?.session.id === session.id ? parentBody.checkpoint.step : (session.resumedFrom?.step ?? -1);
  return { session: session.id, from, to: facts.step };
}

// ---- metrics beside a checkpoint: a JSON line of [name, count], then each series' columns ----

function packMetrics(metrics: Metrics, segment: Segment): Uint8Array | null {
  const names = metrics.names(segment.session);
  const series = names.map((name) => ({ name, points: metrics.lineage([segment], name) }));
  const filled = series.filter(({ points }) => points.steps.length > 0);
  if (filled.length === 0) return null;
  const head = Buffer.from(`${JSON.stringify(filled.map(({ name, points }) => [name, points.steps.length]))}\n`);
  const columns = filled.flatMap(({ points }) => [points.steps, points.values, points.times]);
  return zstdCompressSync(
    Buffer.concat([head, ...columns.map((c) => Buffer.from(c.buffer, c.byteOffset, c.byteLength))]),
  );
}

export function unpackMetrics(packed: Uint8Array): { name: string; points: Points }[] {
  const bytes = zstdDecompressSync(packed);
  const headEnd = bytes.indexOf(10) + 1;
  const head = JSON.parse(bytes.toString('utf8', 0, headEnd)) as [string, number][];
  const numbers = new Float64Array(bytes.buffer.slice(bytes.byteOffset + headEnd, bytes.byteOffset + bytes.length));
  let at = 0;
  return head.map(([name, count]) => {
    const column = () => {
      at += count;
      return numbers.subarray(at - count, at);
    };
    return { name, points: { steps: column(), values: column(), times: column() } };
  });
}
