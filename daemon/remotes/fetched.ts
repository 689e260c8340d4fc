/** Reads what a remote has without the content: runs, and checkpoints with their facts. The result is kept in a file between fetches. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../base/files.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { readCheckpoint, readProof, readRun } from '../store/catalog/rows.ts';
import { damagedObject, keysOf } from './drivers/driver.ts';
import { inParallel } from './drivers/in-parallel.ts';
import { CHECKPOINTS, MARKS, parseManifestKey, parseRecordKey, RUNS } from './layout.ts';
import { checkpointIn, decodeManifest, MAX_MANIFEST_BYTES, type Manifest } from './manifest.ts';
import { type Marks, marksInOrder, readMarks } from './marks.ts';
import type { Watcher } from './push.ts';
import { decodeHead, HEAD_GUESS_BYTES, MAX_RECORD_BYTES, type RecordHead } from './record.ts';
import { isDamage, type Remote } from './remote.ts';

const IN_FLIGHT = 16;

/** Run on a remote, as it was when its newest record was sent. */
export interface FetchedRun {
  run: Run;
  /** Machine that has sent the newest record. */
  machine: string;
  sentAt: number;
  /** Keys of its records, in order. */
  records: string[];
}

export interface FetchedCheckpoint {
  key: string;
  checkpoint: Checkpoint;
  machine: string;
  sentAt: number;
}

export interface Fetched {
  at: number;
  runs: FetchedRun[];
  /** Checkpoints, with the marks that they have there now. */
  checkpoints: FetchedCheckpoint[];
  /** Marks that changed after manifests, by the key of their object. */
  marks: { key: string; marks: Marks }[];
  /** Descriptions of what was left out, and why. */
  problems: string[];
}

const NOTHING: Fetched = { at: 0, runs: [], checkpoints: [], marks: [], problems: [] };

const fetchedSchema = v.object({
  at: v.number(),
  runs: v.array(v.object({ run: v.unknown(), machine: v.string(), sentAt: v.number(), records: v.array(v.string()) })),
  checkpoints: v.array(v.object({ key: v.string(), checkpoint: v.unknown(), machine: v.string(), sentAt: v.number() })),
  marks: v.optional(
    v.array(
      v.object({
        key: v.string(),
        marks: v.array(v.tuple([v.string(), v.object({ tags: v.array(v.string()), proof: v.unknown() })])),
      }),
    ),
    [],
  ),
});

/** Reads what the last fetch has found. */
export function lastFetched(path: string): Fetched {
  const parsed = v.safeParse(fetchedSchema, readJson(path));
  if (!parsed.success) return NOTHING;
  const runs = parsed.output.runs.flatMap(({ run, ...rest }) => {
    const record = readRun(JSON.stringify(run))?.record;
    return record ? [{ ...rest, run: record }] : [];
  });
  const checkpoints = parsed.output.checkpoints.flatMap(({ checkpoint, ...rest }) => {
    const record = readCheckpoint(JSON.stringify(checkpoint))?.record;
    return record ? [{ ...rest, checkpoint: record }] : [];
  });
  const marks = parsed.output.marks.map(({ key, marks: own }) => ({
    key,
    marks: new Map(
      own.map(([id, { tags, proof }]) => [id, { tags, proof: readProof(JSON.stringify(proof ?? null)) }]),
    ) as Marks,
  }));
  return { at: parsed.output.at, runs, checkpoints, marks, problems: [] };
}

/** Gives checkpoints the marks that they have now. */
function withMarks(checkpoints: FetchedCheckpoint[], marks: Fetched['marks']): FetchedCheckpoint[] {
  if (marks.length === 0) return checkpoints;
  const newest: Marks = new Map(marks.flatMap(({ marks: own }) => [...own]));
  return checkpoints.map((entry) => {
    const marked = newest.get(entry.checkpoint.id);
    return marked ? { ...entry, checkpoint: { ...entry.checkpoint, ...marked } } : entry;
  });
}

/** Fetches what is new on the remote. Objects that are damaged are named, and left out. */
export async function fetchAll(remote: Remote, path: string, { signal, progress }: Watcher): Promise<Fetched> {
  await remote.requireSame();
  const before = lastFetched(path);
  const known = new Map(before.checkpoints.map((entry) => [entry.key, entry]));
  const problems: string[] = [];
  const manifests = (await keysOf(remote.driver, CHECKPOINTS, signal)).filter(({ key }) => parseManifestKey(key));
  const records = (await keysOf(remote.driver, RUNS, signal)).filter(({ key }) => parseRecordKey(key));
  const checkpoints: FetchedCheckpoint[] = [];
  const total = manifests.length + records.length;
  let done = 0;
  await inParallel(manifests, IN_FLIGHT, signal, async ({ key }) => {
    const found = known.get(key) ?? (await tolerating(problems, () => fetchCheckpoint(remote, key, signal)));
    if (found) checkpoints.push(found);
    progress(++done, total);
  });
  const runs: FetchedRun[] = [];
  const knownRuns = new Map(before.runs.map((entry) => [entry.run.id, entry]));
  const keysByRun = Map.groupBy(records.map(({ key }) => key).sort(), (key) => parseRecordKey(key)!.run);
  await inParallel(keysByRun, IN_FLIGHT, signal, async ([id, keys]) => {
    const last = knownRuns.get(id);
    const isSame = last && last.records.length === keys.length && last.records.at(-1) === keys.at(-1);
    const found = isSame ? last : await fetchRun(remote, keys, problems, signal);
    if (found) runs.push(found);
    done += keys.length;
    progress(done, total);
  });
  const knownMarks = new Map(before.marks.map(({ key, marks }) => [key, marks]));
  const marks: Fetched['marks'] = [];
  for (const key of marksInOrder((await keysOf(remote.driver, MARKS, signal)).map((entry) => entry.key))) {
    const own = knownMarks.get(key) ?? (await readMarks(remote, key, signal));
    if (own) marks.push({ key, marks: own });
    else problems.push(damagedObject(remote.name, key, 'it has no tags that this version can read').message);
  }
  const fetched: Fetched = { at: Date.now(), runs, checkpoints: withMarks(checkpoints, marks), marks, problems };
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeJson(path, { ...fetched, marks: marks.map(({ key, marks: own }) => ({ key, marks: [...own] })) });
  return fetched;
}

/** Reads a manifest from the remote. Throws `remoteDamaged` also when it is gone. */
export async function readManifest(remote: Remote, key: string, signal?: AbortSignal): Promise<Manifest | null> {
  const bytes = await remote.driver.get(key, { maxBytes: MAX_MANIFEST_BYTES, signal });
  return bytes && decodeManifest(remote.name, remote.id, key, bytes);
}

async function fetchCheckpoint(remote: Remote, key: string, signal: AbortSignal): Promise<FetchedCheckpoint | null> {
  const manifest = await readManifest(remote, key, signal);
  if (!manifest) return null;
  // The list of its parts is long, and needed by nobody who only looks.
  const { ingredients: _, ...checkpoint } = checkpointIn(manifest);
  return { key, checkpoint, machine: manifest.machine, sentAt: manifest.pushedAt };
}

/** Describes a run as its newest record that can be read does. */
async function fetchRun(
  remote: Remote,
  keys: string[],
  problems: string[],
  signal: AbortSignal,
): Promise<FetchedRun | null> {
  for (const key of keys.toReversed()) {
    const head = await tolerating(problems, () => readHead(remote, key, signal));
    if (head?.run.id === parseRecordKey(key)!.run)
      return { run: head.run, machine: head.machine, sentAt: head.pushedAt, records: keys };
  }
  return null;
}

/** Reads the head of a record; null: it is gone. */
export async function readHead(remote: Remote, key: string, signal: AbortSignal): Promise<RecordHead | null> {
  for (const first of [HEAD_GUESS_BYTES, undefined]) {
    const options = { maxBytes: MAX_RECORD_BYTES, signal, ...(first ? { first } : {}) };
    const bytes = await remote.driver.get(key, options);
    const decoded = bytes && decodeHead(remote.name, remote.id, key, bytes, first === undefined);
    if (decoded) return decoded.head;
  }
  return null;
}

async function tolerating<T>(problems: string[], work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (error) {
    if (!isDamage(error)) throw error;
    problems.push(error.message);
    return null;
  }
}
