/** Pushes checkpoints: objects, code and the run's record first, the manifest last. A killed push leaves only whole manifests. */
import { hostname } from 'node:os';
import type { Checkpoint } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { bundleOf } from '../code/bundle.ts';
import type { PointCounts } from '../store/api/exchange.ts';
import type { Store } from '../store/client.ts';
import { CODEC } from '../store/objects/codec.ts';
import { keysOf } from './drivers/driver.ts';
import { inParallel } from './drivers/in-parallel.ts';
import { readHead } from './fetched.ts';
import { noteToSend } from './known.ts';
import {
  bundleKey,
  CHECKPOINTS,
  endingOf,
  manifestKey,
  objectKey,
  parseManifestKey,
  parseObject,
  parseRecordKey,
  RUNS,
  recordKey,
} from './layout.ts';
import { encodeManifest, type ManifestChunk } from './manifest.ts';
import { pushMarks } from './marks.ts';
import { encodeRecords, type RecordHead } from './record.ts';
import { isDamage, isOlder, type KnownObjects, type Remote, unlessDamaged } from './remote.ts';
import { ChunkReader } from './store-port.ts';

/** Number of objects that are sent at once. */
const IN_FLIGHT = 8;
/** Time after which objects that were there may have been chosen and deleted; half of the day for which a collection waits. */
const LONG_PUSH_MS = 12 * 3_600_000;

/** Local store that takes part: its content, and its folder. */
export interface Local {
  store: Store;
  path: string;
}

export interface Watcher {
  signal: AbortSignal;
  progress(done: number, total: number): void;
}

export interface Pushed {
  /** Ids of the checkpoints that were sent. */
  checkpoints: string[];
  /** Number of checkpoints that were there already. */
  present: number;
  objects: number;
  bytes: number;
  /** Runs whose code could not be sent, since the store does not have it. */
  withoutCode: string[];
}

/** Pushes checkpoints, the oldest first. One that is damaged holds up none of the others; its error is thrown at the end. */
export async function push(
  remote: Remote,
  local: Local,
  checkpoints: readonly Checkpoint[],
  watcher: Watcher,
): Promise<Pushed> {
  try {
    return await pushAll(remote, local, checkpoints, watcher);
  } catch (error) {
    // Some of what was sent may not have been settled: the next push looks what is there.
    remote.forget();
    throw error;
  } finally {
    remote.there.save();
  }
}

async function pushAll(
  remote: Remote,
  local: Local,
  checkpoints: readonly Checkpoint[],
  watcher: Watcher,
): Promise<Pushed> {
  await remote.requireSame();
  const { signal } = watcher;
  const byRun = Map.groupBy(checkpoints, ({ run }) => run);
  const pushed: Pushed = { checkpoints: [], present: 0, objects: 0, bytes: 0, withoutCode: [] };
  const total = checkpoints.reduce((sum, { bytes }) => sum + bytes, 0);
  let done = 0;
  const failures: unknown[] = [];
  /** Does what is about one checkpoint or run. Damage there or here holds up nothing else: it is thrown at the end. */
  const separately = async (work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      if (!isDamage(error) && !isError(error, 'corrupted')) throw error;
      failures.push(error);
    }
  };
  for (const [run, all] of byRun) {
    const there = await checkpointsThere(remote, run, signal);
    const due = all.filter(({ id }) => !there.has(id)).sort((a, b) => a.createdAt - b.createdAt);
    pushed.present += all.length - due.length;
    for (const { id, bytes } of all) if (there.has(id)) done += bytes;
    watcher.progress(done, total);
    for (const checkpoint of due) {
      signal.throwIfAborted();
      await separately(() =>
        pushOne(remote, local, checkpoint, pushed, signal, (sent) => watcher.progress(done + sent, total)),
      );
      done += checkpoint.bytes;
      watcher.progress(done, total);
    }
    const before = all.filter(({ id }) => there.has(id));
    await separately(() => pushMarks(remote, remote.there, run, before, signal));
    // Also without a new checkpoint: its end, or later metrics, may be news.
    if (due.length > 0) continue;
    await pushRun(remote, local, run, signal);
  }
  if (failures.length > 0) throw failures[0];
  return pushed;
}

async function pushOne(
  remote: Remote,
  local: Local,
  checkpoint: Checkpoint,
  pushed: Pushed,
  signal: AbortSignal,
  sent: (bytes: number) => void,
): Promise<void> {
  const { driver } = remote;
  const facts = await local.store.requireFacts(checkpoint.id);
  const reader = await ChunkReader.open(local.store);
  try {
    const all = (await reader.files(checkpoint.id)).flatMap(({ chunks }) => chunks);
    const unique = new Map(all.map((chunk) => [Buffer.from(chunk.hash).toString('hex'), chunk]));
    let known = await remote.objects(signal);
    const send = async (hash: string, id: number): Promise<void> => {
      const { codec, data } = await reader.chunk(id);
      const plain = endingOf(codec);
      const ending = known.doomed.has(objectKey({ hash, ending: plain })) ? endingOf(codec, randomId()) : plain;
      // The name of a plain object is the hash of its bytes.
      const bytes = data.length;
      const sha256 = codec === CODEC.raw ? hash : undefined;
      await driver.put(objectKey({ hash, ending }), data, { sha256, takeOver: true, signal });
      known.endings.set(hash, ending);
      pushed.objects++;
      pushed.bytes += bytes;
    };
    let done = 0;
    await inParallel(unique, IN_FLIGHT, signal, async ([hash, { id, size }]) => {
      if (!known.endings.has(hash)) await send(hash, id);
      done += size;
      sent(done);
    });
    await pushCode(remote, local, facts.run.code, facts.run.name, pushed, signal);
    await pushRun(remote, local, checkpoint.run, signal);
    await driver.settle();
    // What a collection has chosen meanwhile is sent under other names: it may delete them at any moment. Again after long work,
    // as when a laptop sleeps: what is chosen after this look is there for a day.
    for (let lookedAt = 0; isOlder(lookedAt, LONG_PUSH_MS); ) {
      signal.throwIfAborted();
      lookedAt = Date.now();
      known = await stillThere(remote, known, signal);
      await inParallel(unique, IN_FLIGHT, signal, async ([hash, { id }]) => {
        if (!known.endings.has(hash)) await send(hash, id);
      });
      await driver.settle();
    }
    const chunks = all.map(({ hash, size }): ManifestChunk => {
      const name = Buffer.from(hash).toString('hex');
      return [name, size, known.endings.get(name)!];
    });
    const manifest = encodeManifest({
      remote: remote.id,
      machine: hostname(),
      pushedAt: Date.now(),
      body: facts,
      chunks,
      tags: checkpoint.tags,
      proof: checkpoint.proof,
    });
    await driver.put(manifestKey(checkpoint.run, checkpoint.step, checkpoint.id), manifest, { signal });
    await driver.settle();
    remote.there.agreed(checkpoint.id, checkpoint);
    pushed.checkpoints.push(checkpoint.id);
  } finally {
    reader.close();
  }
}

/** Returns the known objects without those that a collection has chosen meanwhile. After long work they are listed anew. */
async function stillThere(remote: Remote, known: KnownObjects, signal: AbortSignal): Promise<KnownObjects> {
  if (isOlder(known.listedAt, LONG_PUSH_MS)) return remote.objects(signal, true);
  for (const key of await remote.candidates(signal)) {
    known.doomed.add(key);
    const object = parseObject(key);
    if (object && known.endings.get(object.hash) === object.ending) known.endings.delete(object.hash);
  }
  return known;
}

async function pushCode(
  remote: Remote,
  { path }: Local,
  tree: string | null,
  run: string,
  pushed: Pushed,
  signal: AbortSignal,
): Promise<void> {
  if (tree === null || (await remote.driver.stat(bundleKey(tree), signal))) return;
  const bundle = await bundleOf(path, tree);
  if (bundle) await remote.driver.put(bundleKey(tree), bundle, { signal });
  else if (!pushed.withoutCode.includes(run)) pushed.withoutCode.push(run);
}

/** Sends what is new about a run: its record, and the metrics since the newest one there. */
async function pushRun(remote: Remote, { store }: Local, run: string, signal: AbortSignal): Promise<void> {
  const newest = await newestRecord(remote, run, signal);
  const known: PointCounts = newest?.head?.totals ?? {};
  const found = await store.exchangedRun(run, known);
  const here = found.run.note;
  // An older record does not tell what a damaged one after it said.
  const note = noteToSend(remote.there.note(run), here, newest?.isWhole ? newest.head?.run.note : undefined);
  const sent = { ...found, run: { ...found.run, note } };
  const isNews =
    !newest?.isWhole || found.series.length > 0 || JSON.stringify(newest.head?.run) !== JSON.stringify(sent.run);
  if (isNews) {
    let number = newest?.number ?? 0;
    const facts = { remote: remote.id, machine: hostname(), pushedAt: Date.now() };
    for (const record of encodeRecords(facts, sent, known))
      await remote.driver.put(recordKey(run, ++number, randomId()), record, { signal });
    await remote.driver.settle();
  }
  // Last: a note that was not sent must not count as sent.
  remote.there.setNote(run, here);
}

/**
 * Finds the newest record of a run that can be read, and the number of the newest one. After a damaged one everything since the one before
 * is sent again.
 */
async function newestRecord(
  remote: Remote,
  run: string,
  signal: AbortSignal,
): Promise<{ head: RecordHead | null; number: number; isWhole: boolean } | null> {
  const listed = (await keysOf(remote.driver, `${RUNS}${run}/`, signal)).map(({ key }) => key).sort();
  const keys = listed.filter((name) => parseRecordKey(name) !== null).toReversed();
  if (keys.length === 0) return null;
  const { number } = parseRecordKey(keys[0]!)!;
  for (const key of keys) {
    const head = await unlessDamaged(() => readHead(remote, key, signal));
    if (head) return { head, number, isWhole: key === keys[0] };
  }
  return { head: null, number, isWhole: false };
}

async function checkpointsThere(remote: Remote, run: string, signal: AbortSignal): Promise<Set<string>> {
  const entries = await keysOf(remote.driver, `${CHECKPOINTS}${run}/`, signal);
  return new Set(entries.flatMap(({ key }) => parseManifestKey(key)?.id ?? []));
}
