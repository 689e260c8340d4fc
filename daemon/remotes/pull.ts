/** Pulls checkpoints into the local store: chunks first, each compared with its hash, the checkpoint's row last. */
import { join } from 'node:path';
import type { Checkpoint, Run, Session } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import { hasSnapshot, unbundle } from '../code/bundle.ts';
import type { ExchangedRun } from '../store/api/exchange.ts';
import type { IncomingChunk } from '../store/checkpoints/incoming.ts';
import { damagedObject } from './drivers/driver.ts';
import { inParallel } from './drivers/in-parallel.ts';
import { type FetchedCheckpoint, type FetchedRun, readManifest } from './fetched.ts';
import { isSame, merged } from './known.ts';
import { bundleKey, codecOf, objectKey } from './layout.ts';
import type { Manifest, ManifestChunk } from './manifest.ts';
import type { Local, Watcher } from './push.ts';
import { decodeRecord, MAX_RECORD_BYTES } from './record.ts';
import { isDamage, type Remote } from './remote.ts';
import { Intake } from './store-port.ts';

const IN_FLIGHT = 8;
/** Size of what the store writes in one transaction. */
const BATCH_BYTES = 32 << 20;
/** Size of what waits for the store, above which nothing more is requested. */
const MOST_UNWRITTEN_BYTES = 64 << 20;
const MAX_BUNDLE_BYTES = 128 << 20;
/** Room that an encoded chunk may take: never more than the plain bytes, or it would have been sent plain. */
const OBJECT_SLACK_BYTES = 1 << 10;

export interface Pulled {
  /** Ids of the checkpoints that came in, by run. */
  checkpoints: string[];
  runs: Run[];
  /** Ids of those that were here, and got other tags or another proof. */
  marked: string[];
  /** Number of checkpoints that were here already. */
  present: number;
  bytes: number;
  problems: string[];
}

/**
 * Pulls the given checkpoints, with their runs' records, metrics and code. What is damaged there is named, and left out. Throws
 * `remoteDamaged` if nothing else is left.
 */
export async function pull(
  remote: Remote,
  local: Local,
  runs: readonly FetchedRun[],
  checkpoints: readonly FetchedCheckpoint[],
  watcher: Watcher,
): Promise<Pulled> {
  await remote.requireSame();
  const pulled: Pulled = { checkpoints: [], runs: [], marked: [], present: 0, bytes: 0, problems: [] };
  const total = checkpoints.reduce((sum, { checkpoint }) => sum + checkpoint.bytes, 0);
  let done = 0;
  const failures: TrainstashError[] = [];
  const separately = async <T>(work: () => Promise<T>): Promise<T | null> => {
    try {
      return await work();
    } catch (error) {
      if (!isDamage(error)) throw error;
      failures.push(error);
      return null;
    }
  };
  const byRun = Map.groupBy(checkpoints, ({ checkpoint }) => checkpoint.run);
  for (const fetched of runs) {
    const { id } = fetched.run;
    const own = byRun.get(id) ?? [];
    const stored = await separately(() => pullRun(remote, local, fetched, pulled, watcher.signal));
    try {
      const imported = stored && (await takeNote(remote, local, stored, fetched.run.note));
      for (const entry of imported ? own : []) {
        watcher.signal.throwIfAborted();
        const got = (bytes: number) => watcher.progress(done + bytes, total);
        await separately(() => pullCheckpoint(remote, local, imported!, entry, pulled, watcher.signal, got));
        done += entry.checkpoint.bytes;
        watcher.progress(done, total);
      }
    } finally {
      // Also after a failure: what came in before counts.
      if (stored) pulled.runs.push((await local.store.recountCheckpoints(id)) ?? stored);
      remote.there.save();
    }
  }
  if (failures.length > 0 && pulled.checkpoints.length + pulled.present === 0) throw failures[0];
  pulled.problems.push(...failures.map(({ message }) => message));
  return pulled;
}

/** Pulls a checkpoint, or the marks of one that is here. */
async function pullCheckpoint(
  remote: Remote,
  local: Local,
  run: Run,
  entry: FetchedCheckpoint,
  pulled: Pulled,
  signal: AbortSignal,
  got: (bytes: number) => void,
): Promise<void> {
  const here = await local.store.checkpoint(entry.checkpoint.id);
  if (!here) return pullOne(remote, local, run, entry, pulled, signal, got);
  pulled.present++;
  if (await takeMarks(remote, local, here, entry)) pulled.marked.push(here.id);
}

/** Takes over tags and a proof that a checkpoint has got there since the last exchange. Returns true if it has other ones now. */
async function takeMarks(
  { there }: Remote,
  { store }: Local,
  here: Checkpoint,
  { checkpoint: given }: FetchedCheckpoint,
): Promise<boolean> {
  const both = merged(there.marked(here.id), here, given);
  const isNews = !isSame(both, here);
  if (isNews) {
    for (const tag of here.tags) if (!both.tags.includes(tag)) await store.tag(here.id, tag, true);
    await store.markIncoming(here.id, both.tags, both.proof);
  }
  // Last: what was not taken over must not count as agreed.
  there.agreed(here.id, given);
  return isNews;
}

/** Takes over a note that was changed there, and not here, since the last exchange. */
async function takeNote({ there }: Remote, { store }: Local, own: Run, note: string): Promise<Run> {
  const isUnchanged = (there.note(own.id) ?? '') === own.note;
  const changed = { ...own, note };
  if (own.note !== note && isUnchanged) {
    // The record of a live run is its session's: the next pull after its end takes the note.
    if (LIVE_STATUSES.includes(own.status)) return own;
    await store.changeRun(own.id, { set: { note } });
  }
  there.setNote(own.id, note);
  return isUnchanged ? changed : own;
}

/** Stores a run's records in the order in which they were sent. One that is damaged is named, and the others hold. */
async function pullRun(
  remote: Remote,
  { store }: Local,
  fetched: FetchedRun,
  pulled: Pulled,
  signal: AbortSignal,
): Promise<Run> {
  let imported: Run | null = null;
  const failures: TrainstashError[] = [];
  for (const key of fetched.records) {
    try {
      const bytes = await remote.driver.get(key, { maxBytes: MAX_RECORD_BYTES, signal });
      if (!bytes) throw damagedObject(remote.name, key, 'it is gone');
      const record = decodeRecord(remote.name, remote.id, key, bytes);
      if (record.run.id !== fetched.run.id)
        throw damagedObject(remote.name, key, 'it describes another run than its name says');
      imported = await store.importRun(arrived(record, remote.name));
    } catch (error) {
      if (!isDamage(error)) throw error;
      failures.push(error);
    }
  }
  if (!imported) throw failures[0] ?? damagedObject(remote.name, `runs/${fetched.run.id}/`, 'it is empty');
  pulled.problems.push(...failures.map(({ message }) => message));
  return imported;
}

/** Turns a record into one of this machine: nothing of it is live here, and it holds no devices and no place in a queue. */
function arrived(
  { run: given, sessions, series, machine, pushedAt }: ExchangedRun & { machine: string; pushedAt: number },
  remote: string,
): ExchangedRun {
  const { devices: _, urgent: __, pinned: ___, waiting: ____, ...rest } = given;
  const wasLive = LIVE_STATUSES.includes(given.status);
  const run: Run = {
    ...rest,
    status: wasLive ? 'paused' : given.status,
    reason: wasLive ? `it came from ${remote}; ${machine} was training it when it sent this` : given.reason,
    endedAt: given.endedAt ?? pushedAt,
    // Another store has other ids for the same branches.
    branchId: null,
    checkpoints: 0,
    lastCheckpoint: null,
    trashedAt: null,
    origin: { remote, machine, number: given.number, sentAt: pushedAt, wasLive },
  };
  const ended = sessions.map((session): Session => ({ ...session, endedAt: session.endedAt ?? pushedAt }));
  return { run, sessions: ended, series };
}

async function pullOne(
  remote: Remote,
  local: Local,
  run: Run,
  entry: FetchedCheckpoint,
  pulled: Pulled,
  signal: AbortSignal,
  got: (bytes: number) => void,
): Promise<void> {
  const { store } = local;
  const { key } = entry;
  // Read again: what a fetch has noted is a summary.
  const manifest = await readManifest(remote, key, signal);
  if (!manifest) throw damagedObject(remote.name, key, 'it is gone');
  if (manifest.body.run.id !== run.id) throw damagedObject(remote.name, key, 'it belongs to another run');
  const intake = await Intake.open(store);
  /** Chunks on their way into the store; those that failed stay. */
  const puts = new Set<Promise<void>>();
  try {
    const missing = await missingChunks(intake, manifest);
    await requireRoom(local, remote, missing);
    let done = 0;
    let batch: IncomingChunk[] = [];
    let batchBytes = 0;
    let unwritten = 0;
    const flush = () => {
      const [chunks, bytes] = [batch, batchBytes];
      batch = [];
      batchBytes = 0;
      // At once, also while others are written: the store hashes these meanwhile.
      const put: Promise<void> = intake
        .put(chunks)
        .catch((error) => {
          if (isError(error, 'corrupted'))
            throw damagedObject(remote.name, key, `a chunk of it is damaged (${error.data.chunk})`);
          throw error;
        })
        .then(() => {
          unwritten -= bytes;
          puts.delete(put);
        });
      put.catch(() => {});
      puts.add(put);
    };
    await inParallel(missing, IN_FLIGHT, signal, async ([hash, size, ending]) => {
      while (unwritten > MOST_UNWRITTEN_BYTES && puts.size > 0) await Promise.race(puts);
      const name = objectKey({ hash, ending });
      const data = await remote.driver.get(name, { maxBytes: size + OBJECT_SLACK_BYTES, signal });
      if (!data) throw damagedObject(remote.name, name, 'it is missing');
      batch.push({ hash: Buffer.from(hash, 'hex'), size, codec: codecOf(ending)!, data });
      batchBytes += data.length;
      unwritten += data.length;
      pulled.bytes += data.length;
      done += size;
      got(done);
      if (batchBytes >= BATCH_BYTES) flush();
    });
    if (batch.length > 0) flush();
    await Promise.all(puts);
    const problem = await pullCode(remote, local, manifest.body.run.code, signal);
    if (problem) pulled.problems.push(problem);
    const id = await intake.commit(await arrivedCheckpoint(local, run, manifest));
    const { tags, proof } = entry.checkpoint;
    if (tags.length > 0 || proof) await store.markIncoming(id, tags, proof);
    remote.there.agreed(id, entry.checkpoint);
    pulled.checkpoints.push(id);
  } finally {
    // What is stored after its port was closed would be held for ever.
    await Promise.allSettled(puts);
    intake.close();
  }
}

/** Describes the checkpoint as one of the run as it is here. */
async function arrivedCheckpoint({ store }: Local, run: Run, { body, chunks }: Manifest) {
  const { session } = body;
  const known = await store.session(session.id);
  return {
    body: {
      ...body,
      storedBytes: 0,
      run: { ...body.run, number: run.number, name: run.name, branchId: null, status: 'paused' as const },
      session: known ?? { ...session, endedAt: session.endedAt ?? body.checkpoint.createdAt },
    },
    chunks: chunks.map(([hash]) => Buffer.from(hash, 'hex')),
  };
}

async function missingChunks(intake: Intake, { chunks }: Manifest): Promise<ManifestChunk[]> {
  const unique = [...new Map(chunks.map((chunk) => [chunk[0], chunk])).values()];
  const found = await intake.find(unique.map(([hash]) => Buffer.from(hash, 'hex')));
  return unique.filter((_, i) => !found[i]);
}

/** Throws `storeFull` rather than let what comes in displace checkpoints that are here. */
async function requireRoom({ store, path }: Local, remote: Remote, missing: readonly ManifestChunk[]): Promise<void> {
  const bytes = missing.reduce((sum, [, size]) => sum + size, 0);
  if (bytes === 0 || (await store.hasRoom(bytes))) return;
  throw new TrainstashError(
    'storeFull',
    `The checkpoint from ${remote.name} takes ${bytes} bytes, which do not fit into ${path}: its quota or its disk is too small. Nothing here was deleted for it. \`trainstash gc --plan\` shows what can go, \`trainstash quota\` sets more.`,
    { neededBytes: bytes, freeBytes: 0 },
  );
}

/** Stores the code of a run. Returns what is wrong with it: a checkpoint without its code can still be resumed. */
async function pullCode(
  remote: Remote,
  { path }: Local,
  tree: string | null,
  signal: AbortSignal,
): Promise<string | null> {
  if (tree === null || (await hasSnapshot(path, tree))) return null;
  const key = bundleKey(tree);
  const bundle = await remote.driver.get(key, { maxBytes: MAX_BUNDLE_BYTES, signal });
  if (!bundle) return `The remote ${remote.name} does not have the code ${tree}.`;
  const scratch = join(path, 'remotes', `incoming-${randomId()}.bundle`);
  if (await unbundle(path, tree, bundle, scratch)) return null;
  return `${key} on the remote ${remote.name} is damaged, so the code is not here.`;
}
