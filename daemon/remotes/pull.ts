/** Pulls checkpoints into the local store: chunks first, each compared with its hash, the checkpoint's row last. */
import { join } from 'node:path';
import { LIVE_STATUSES, type Run, type Session } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { randomId } from '../../protocol/ids.ts';
import { hasSnapshot, unbundle } from '../code/bundle.ts';
import type { ExchangedRun } from '../store/api/exchange.ts';
import type { EncodedChunk } from '../store/objects/stack.ts';
import { damagedObject } from './drivers/driver.ts';
import { type FetchedCheckpoint, type FetchedRun, readManifest } from './fetched.ts';
import { bundleKey, codecOf, objectKey } from './layout.ts';
import type { Manifest, ManifestChunk } from './manifest.ts';
import { inParallel } from './pool.ts';
import type { Local, Watcher } from './push.ts';
import { decodeRecord, MAX_RECORD_BYTES } from './record.ts';
import type { Remote } from './remote.ts';
import { Intake } from './store-port.ts';

const IN_FLIGHT = 8;
/** Size of what the store writes in one transaction. */
const BATCH_BYTES = 16 << 20;
/** Size of what waits for the store, above which nothing more is requested. */
const MOST_UNWRITTEN_BYTES = 48 << 20;
const MAX_BUNDLE_BYTES = 128 << 20;
/** Room that an encoded chunk may take: never more than the plain bytes, or it would have been sent plain. */
const OBJECT_SLACK_BYTES = 1 << 10;

export interface Pulled {
  /** Ids of the checkpoints that came in, by run. */
  checkpoints: string[];
  runs: Run[];
  /** Number of checkpoints that were here already. */
  present: number;
  bytes: number;
  problems: string[];
}

/** Pulls the given checkpoints, with their runs' records, metrics and code. */
export async function pull(
  remote: Remote,
  local: Local,
  runs: readonly FetchedRun[],
  checkpoints: readonly FetchedCheckpoint[],
  watcher: Watcher,
): Promise<Pulled> {
  await remote.requireSame();
  const { store } = local;
  const pulled: Pulled = { checkpoints: [], runs: [], present: 0, bytes: 0, problems: [] };
  const total = checkpoints.reduce((sum, { checkpoint }) => sum + checkpoint.bytes, 0);
  let done = 0;
  const byRun = Map.groupBy(checkpoints, ({ checkpoint }) => checkpoint.run);
  for (const fetched of runs) {
    const { id } = fetched.run;
    const imported = await pullRun(remote, local, fetched, watcher.signal);
    try {
      for (const entry of byRun.get(id) ?? []) {
        watcher.signal.throwIfAborted();
        const got = (bytes: number) => watcher.progress(done + bytes, total);
        if (await store.checkpoint(entry.checkpoint.id)) pulled.present++;
        else await pullOne(remote, local, imported, entry, pulled, watcher.signal, got);
        done += entry.checkpoint.bytes;
        watcher.progress(done, total);
      }
    } finally {
      // Also after a failure: what came in before counts.
      pulled.runs.push((await store.recountCheckpoints(id)) ?? imported);
    }
  }
  return pulled;
}

/** Stores a run's records in the order in which they were sent. */
async function pullRun(remote: Remote, { store }: Local, fetched: FetchedRun, signal: AbortSignal): Promise<Run> {
  let imported: Run | null = null;
  for (const key of fetched.records) {
    const bytes = await remote.driver.get(key, { maxBytes: MAX_RECORD_BYTES, signal });
    if (!bytes) throw damagedObject(remote.name, key, 'it is gone');
    const record = decodeRecord(remote.name, remote.id, key, bytes);
    if (record.run.id !== fetched.run.id)
      throw damagedObject(remote.name, key, 'it describes another run than its name says');
    imported = await store.importRun(arrived(record, remote.name));
  }
  if (!imported) throw damagedObject(remote.name, `runs/${fetched.run.id}/`, 'it is empty');
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
  { key }: FetchedCheckpoint,
  pulled: Pulled,
  signal: AbortSignal,
  got: (bytes: number) => void,
): Promise<void> {
  const { store } = local;
  // Read again: what a fetch has noted is a summary.
  const manifest = await readManifest(remote, key, signal);
  if (!manifest) throw damagedObject(remote.name, key, 'it is gone');
  if (manifest.body.run.id !== run.id) throw damagedObject(remote.name, key, 'it belongs to another run');
  const intake = await Intake.open(store);
  try {
    const missing = await missingChunks(intake, manifest);
    await requireRoom(local, remote, missing);
    let done = 0;
    let batch: EncodedChunk[] = [];
    let batchBytes = 0;
    let unwritten = 0;
    let writing: Promise<void> = Promise.resolve();
    const flush = () => {
      const [chunks, bytes] = [batch, batchBytes];
      batch = [];
      batchBytes = 0;
      writing = writing
        .then(() => intake.put(chunks))
        .catch((error) => {
          if (isError(error, 'corrupted'))
            throw damagedObject(remote.name, key, `a chunk of it is damaged (${error.data.chunk})`);
          throw error;
        })
        .finally(() => {
          unwritten -= bytes;
        });
      writing.catch(() => {});
      return writing;
    };
    await inParallel(missing, IN_FLIGHT, signal, async ([hash, size, ending]) => {
      while (unwritten > MOST_UNWRITTEN_BYTES) await writing;
      const name = objectKey({ hash, ending });
      const data = await remote.driver.get(name, { maxBytes: size + OBJECT_SLACK_BYTES, signal });
      if (!data) throw damagedObject(remote.name, name, 'it is missing');
      batch.push({ hash: Buffer.from(hash, 'hex'), size, codec: codecOf(ending)!, data });
      batchBytes += data.length;
      unwritten += data.length;
      pulled.bytes += data.length;
      done += size;
      got(done);
      if (batchBytes >= BATCH_BYTES) await flush();
    });
    if (batch.length > 0) await flush();
    await writing;
    const problem = await pullCode(remote, local, manifest.body.run.code, signal);
    if (problem) pulled.problems.push(problem);
    const id = await intake.commit(await arrivedCheckpoint(local, run, manifest));
    if (manifest.tags.length > 0 || manifest.proof) await store.markIncoming(id, manifest.tags, manifest.proof);
    pulled.checkpoints.push(id);
  } finally {
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
