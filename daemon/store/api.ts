/** What the store worker does for the daemon. One instance a store; everything SQLite happens behind these functions. */

import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import {
  type Checkpoint,
  LIVE_STATUSES,
  type MetricSeries,
  type MetricSummary,
  type Proof,
  type Run,
  type Session,
  type StoreUsage,
  toWireNumber,
} from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { FsckReport } from '../../protocol/messages.ts';
import { SESSION_FILES } from '../../protocol/session.ts';
import { Catalog, type EventSource, type RunFilter } from './catalog.ts';
import { openCatalog } from './catalog-schema.ts';
import { Coders } from './coders.ts';
import { type Doubt, sharesCause } from './doubts.ts';
import { takeEvents } from './events.ts';
import { checkObjects } from './fsck.ts';
import { hasRoomFor, isDiskFull, makeReserve, returnSpace, TRASH_DAYS, withReserve } from './gc.ts';
import { Hasher } from './hasher.ts';
import { forgetKeptFiles, type KeptFileSource, restoreKeptFile, saveKeptFile } from './kept-files.ts';
import { lineageOf } from './lineage.ts';
import { Metrics, summarize } from './metrics.ts';
import { type MarkKind, Objects } from './objects.ts';
import { compareOverlap } from './overlap.ts';
import { unpackedBytes } from './packing.ts';
import { defaultQuotaBytes, takeOwnership } from './place.ts';
import { type ReadPort, serveReads } from './reading.ts';
import { fillCatalog, followObjects } from './rebuild.ts';
import { bestOf, DEFAULT_KEEP, type KeepPolicy, keptBecause } from './retention.ts';
import {
  type CheckpointBody,
  type CheckpointSource,
  checkpointOf,
  digestOf,
  restoreCheckpoint,
  saveCheckpoint,
} from './saving.ts';
import { type Packed, Upkeep } from './upkeep.ts';

const DAY_MS = 86_400_000;
/** Shorter beginnings of an id are not looked for: a step or number that does not exist must not find something else. */
const MIN_PREFIX = 4;

export interface StoreOptions {
  /** The store's directory; made when missing. */
  path: string;
  /** Bundle of the hasher thread. */
  hasherEntry: string;
  /** Bundle of the coders' thread. */
  coderEntry: string;
  quotaBytes?: number;
}

export type StoreApi = ReturnType<typeof openStore>;

export function openStore(options: StoreOptions) {
  const { path } = options;
  mkdirSync(path, { recursive: true, mode: 0o700 });
  mkdirSync(join(path, 'sessions'), { recursive: true });
  const ownership = takeOwnership(path);
  let objects: Objects;
  let catalog: Catalog;
  let rebuiltAtOpen = false;
  try {
    objects = openObjects(join(path, 'objects.db'));
    ({ catalog, rebuilt: rebuiltAtOpen } = openOrRebuild(path, objects));
  } catch (error) {
    ownership.release();
    throw error;
  }
  let metrics = new Metrics(catalog);
  const hasher = new Hasher(new URL(options.hasherEntry));
  const coders = new Coders(new URL(options.coderEntry));
  const upkeep = new Upkeep(path, objects, coders);
  if (objects.meta('quota') === undefined)
    objects.setMeta('quota', String(options.quotaBytes ?? defaultQuotaBytes(path)));
  followObjects(objects, catalog);
  const pause = () => breathe();

  /** Brings the catalog up to a change of objects.db that has just been committed. */
  function follow(change: () => void): void {
    catalog.database.transaction(() => {
      change();
      catalog.setMeta('followed', String(objects.changes()));
    });
  }

  /** Writes the catalog's row of a saved checkpoint from what objects.db says of it. */
  function refreshCheckpoint(id: string): Checkpoint {
    const row = objects.saved(id);
    if (!row) throw new TrainstashError('notFound', `There is no checkpoint ${id}.`, { what: 'checkpoint', query: id });
    const checkpoint = checkpointOf(row, objects.marks(row.seq));
    follow(() => catalog.putCheckpoint(checkpoint));
    return checkpoint;
  }

  function mark(id: string, kind: MarkKind, value: string | null): Checkpoint {
    if (value === null) objects.clearMark(id, kind);
    else objects.setMark(id, kind, value);
    return refreshCheckpoint(id);
  }

  function forgetCheckpoint(id: string): void {
    objects.forget(id);
    follow(() => catalog.removeCheckpoint(id));
  }

  /** Checkpoints that others were resumed or forked from, with the reason. */
  function neededCheckpoints(run: string): Map<string, string> {
    const needed = new Map<string, string>();
    for (const session of catalog.sessions(run)) {
      if (session.resumedFrom) needed.set(session.resumedFrom.checkpoint, 'the run was resumed from it');
    }
    for (const row of catalog.database
      .prepare(
        "SELECT json_extract(body, '$.parent.checkpoint') AS id FROM run WHERE json_extract(body, '$.parent.run') = ?",
      )
      .all(run))
      needed.set(String(row.id), 'a fork starts from it');
    return needed;
  }

  /** For who gave a run where a checkpoint is wanted. */
  function hintOfRun(query: string): string {
    const run = /^\d{1,9}$/.test(query) ? catalog.runByNumber(Number(query)) : undefined;
    return run ? ` ${run.name} is a run; its checkpoints are ${query}@STEP, ${query}@best and ${query}@last.` : '';
  }

  function reasonsToKeep(run: string, policy: KeepPolicy) {
    return keptBecause(catalog.checkpoints(run), policy, neededCheckpoints(run));
  }

  function usedBytes(): number {
    const number = (name: string) => Number(Object.values(objects.database.prepare(`PRAGMA ${name}`).get()!)[0]);
    return (number('page_count') - number('freelist_count')) * number('page_size');
  }

  /** Makes room under the quota: expired and then any trash, then all but each run's newest and what is protected. */
  async function makeRoom(incomingBytes: number): Promise<{ over: boolean; pruned: Checkpoint[] }> {
    const quota = Number(objects.meta('quota'));
    const fits = () => usedBytes() + incomingBytes <= quota;
    const pruned: Checkpoint[] = [];
    for (const checkpoint of catalog.trashedCheckpoints()) {
      if (fits()) return { over: false, pruned };
      forgetCheckpoint(checkpoint.id);
      await upkeep.sweep();
    }
    if (fits()) return { over: false, pruned };
    for (const row of catalog.database.prepare('SELECT DISTINCT run FROM checkpoint WHERE trashed IS NULL').all()) {
      const run = String(row.run);
      for (const [id, reasons] of reasonsToKeep(run, { ...DEFAULT_KEEP, last: 1 })) {
        if (reasons.length > 0) continue;
        pruned.push(catalog.checkpoint(id)!);
        forgetCheckpoint(id);
      }
      await upkeep.sweep();
      if (fits()) return { over: false, pruned };
    }
    return { over: !fits(), pruned };
  }

  const api = {
    info: () => ({ driver: objects.database.driver, rebuiltAtOpen }),

    // ---- runs and sessions ----

    createRun(run: Run): Run {
      const created = { ...run, number: catalog.nextRunNumber() };
      if (created.name === '') created.name = `${run.job} #${created.number}`;
      catalog.putRun(created);
      return created;
    },
    putRun: (run: Run) => catalog.putRun(run),
    run: (id: string) => catalog.run(id),
    runs: (filter: RunFilter) => catalog.runs(filter),
    countRuns: () => catalog.countRuns(),
    branches: () => catalog.branches(),
    runsWithStatus: (statuses: readonly string[]) => catalog.runsWithStatus(statuses),
    findRun(query: string): Run {
      const text = query.replace(/^#/, '');
      const byNumber = /^\d{1,9}$/.test(text) ? catalog.runByNumber(Number(text)) : undefined;
      if (byNumber) return byNumber;
      const candidates = text.length >= MIN_PREFIX ? catalog.runsByPrefix(text) : [];
      const exact = candidates.find((run) => run.id === text) ?? (candidates.length === 1 ? candidates[0] : undefined);
      if (exact) return exact;
      if (candidates.length > 1) {
        throw new TrainstashError('ambiguous', `"${query}" fits ${candidates.length} runs; give more of the id.`, {
          what: 'run',
          query,
          matches: candidates.map((run) => `${run.id} (${run.name})`),
        });
      }
      const named = catalog.database
        .prepare("SELECT body FROM run WHERE json_extract(body, '$.name') = ? LIMIT 2")
        .all(query);
      if (named.length === 1) return JSON.parse(named[0]!.body);
      throw new TrainstashError('notFound', `There is no run "${query}". \`trainstash ls --all\` lists them.`, {
        what: 'run',
        query,
      });
    },
    /** In one go, since each call is a trip to this thread and back. */
    showRun(query: string, limit: number) {
      const run = api.findRun(query);
      return {
        run,
        sessions: catalog.sessions(run.id),
        checkpoints: catalog.checkpointPage(run.id, false, 0, limit).reverse(),
      };
    },
    putSession: (session: Session) => catalog.putSession(session),
    session: (id: string) => catalog.session(id),
    sessions: (run: string) => catalog.sessions(run),
    openSessions: () => catalog.openSessions(),
    takeEvents: (session: string, source: EventSource) =>
      takeEvents(catalog, metrics, session, source, join(path, 'sessions', session, SESSION_FILES[source])),

    /** Drafts that ended before: nobody will look for them. */
    draftsEndedBefore: (time: number) =>
      catalog.database
        .prepare("SELECT id FROM run WHERE draft = 1 AND json_extract(body, '$.endedAt') < ?")
        .all(time)
        .map((row) => String(row.id)),

    /** Forgets a run with everything it has: checkpoints, metrics, session directories. */
    async purgeRun(id: string): Promise<void> {
      for (const checkpoint of catalog.checkpoints(id, { trashed: true })) forgetCheckpoint(checkpoint.id);
      for (const session of catalog.sessions(id))
        rmSync(join(path, 'sessions', session.id), { recursive: true, force: true });
      rmSync(join(path, 'files', id), { recursive: true, force: true });
      catalog.removeRun(id);
      metrics.forgetIds();
      await upkeep.sweep();
    },

    // ---- checkpoints ----

    async saveCheckpoint(source: CheckpointSource, incomingBytes: number) {
      const room = await makeRoom(incomingBytes);
      const checkpoint = await saveCheckpoint(objects, hasher, metrics, source);
      follow(() => catalog.putCheckpoint(checkpoint));
      makeReserve(path);
      return { checkpoint, ...room, quotaBytes: Number(objects.meta('quota')) };
    },
    digestOf: (directory: string) => digestOf(directory),
    serveReads: (port: ReadPort) => serveReads(objects, coders, port),
    restoreCheckpoint: (id: string, directory: string) => restoreCheckpoint(objects, coders, id, directory),
    /** The catalog's rows alone, without content: for filling a large one. */
    putCheckpointRows: (rows: readonly Checkpoint[]) =>
      catalog.database.transaction(() => rows.forEach((row) => void catalog.putCheckpoint(row))),
    checkpoint: (id: string) => catalog.checkpoint(id),
    checkpoints: (run: string, trashed = false) => catalog.checkpoints(run, { trashed }),
    checkpointPage: (run: string, trashed: boolean, after: number, limit: number) =>
      catalog.checkpointPage(run, trashed, after, limit),
    checkpointFacts(id: string) {
      const row = objects.saved(id);
      return row ? (JSON.parse(row.body) as CheckpointBody) : null;
    },
    /** By step, tag, `best`, `last`, or the beginning of an id; within a run, or by id alone. */
    findCheckpoint(query: string, run: Run | null): Checkpoint {
      const checkpoints = run ? catalog.checkpoints(run.id) : [];
      const missing = () =>
        new TrainstashError(
          'notFound',
          run
            ? `${run.name} has no checkpoint "${query}". \`trainstash show ${run.number}\` lists them.`
            : `There is no checkpoint "${query}".${hintOfRun(query)}`,
          {
            what: 'checkpoint',
            query,
          },
        );
      if (run) {
        let found: Checkpoint | undefined;
        if (query === 'last') found = checkpoints.at(-1);
        else if (query === 'best') found = run.monitor ? bestOf(checkpoints, run.monitor) : undefined;
        else
          found =
            checkpoints.findLast(({ tags }) => tags.includes(query)) ??
            (/^\d+$/.test(query) ? checkpoints.findLast(({ step }) => step === Number(query)) : undefined);
        if (found) return found;
      }
      const byId = (query.length >= MIN_PREFIX ? catalog.checkpointsByPrefix(query) : []).filter(
        (checkpoint) => run === null || checkpoint.run === run.id,
      );
      const exact = byId.find(({ id }) => id === query) ?? (byId.length === 1 ? byId[0] : undefined);
      if (exact) return exact;
      if (byId.length > 1) {
        throw new TrainstashError('ambiguous', `"${query}" fits ${byId.length} checkpoints; give more of the id.`, {
          what: 'checkpoint',
          query,
          matches: byId.map((checkpoint) => `${checkpoint.id} (step ${checkpoint.step})`),
        });
      }
      throw missing();
    },
    tag(id: string, tag: string, remove: boolean): Checkpoint {
      if (remove) objects.clearMark(id, 'tag', tag);
      else objects.setMark(id, 'tag', tag);
      return refreshCheckpoint(id);
    },
    setTrash: (id: string, at: number | null) => mark(id, 'trash', at === null ? null : String(at)),
    setProof: (id: string, proof: Proof) => mark(id, 'proof', JSON.stringify(proof)),
    /** Lowers every checkpoint of the run that has the same cause. Returns those that look otherwise now. */
    doubt(id: string, doubt: Doubt): Checkpoint[] {
      const row = objects.saved(id);
      if (!row) return [];
      const found = (JSON.parse(row.body) as CheckpointBody).checkpoint;
      return catalog
        .checkpoints(row.run, { trashed: true })
        .filter((other) => {
          const body = objects.saved(other.id)?.body;
          return (
            body !== undefined && sharesCause(doubt.ingredient, found, (JSON.parse(body) as CheckpointBody).checkpoint)
          );
        })
        .map((other) => mark(other.id, 'doubt', JSON.stringify(doubt)));
    },
    largestRuns: (limit: number) => catalog.largestRuns(limit),
    reasonsToKeep: (run: string, policy: KeepPolicy) => [...reasonsToKeep(run, policy)],
    /** Moves what the policy does not keep to the trash. Returns those checkpoints. */
    applyRetention(run: string, policy: KeepPolicy): Checkpoint[] {
      const now = Date.now();
      return [...reasonsToKeep(run, policy)]
        .filter(([, reasons]) => reasons.length === 0)
        .map(([id]) => mark(id, 'trash', String(now)));
    },

    // ---- files that follow a branch ----

    /** Null when there is no room for it: above the quota, or nearly no space left. The file stays where it is. */
    async saveFile(source: KeptFileSource): Promise<{ id: string; added: number } | null> {
      const { bytes } = source.expected;
      if (usedBytes() + bytes > Number(objects.meta('quota')) || !hasRoomFor(path, bytes)) return null;
      const saved = await saveKeptFile(path, objects, hasher, source);
      follow(() => {});
      return saved;
    },
    restoreFile: (id: string, target: string) => restoreKeptFile(objects, coders, id, target),
    /** Forgets every file but these. */
    keepOnlyFiles(ids: readonly string[]): number {
      const forgotten = forgetKeptFiles(objects, new Set(ids));
      follow(() => {});
      return forgotten;
    },

    // ---- metrics ----

    queryMetrics(
      run: string,
      query: { names?: string[]; fromStep?: number; toStep?: number; buckets?: number },
    ): MetricSeries[] {
      const segments = lineageOf(catalog, run);
      const names = query.names ?? metrics.lineageNames(segments);
      const start = catalog.run(run)?.startedAt ?? 0;
      const range = {
        from: (query.fromStep ?? Number.NEGATIVE_INFINITY) - 0.5,
        to: query.toStep ?? Number.POSITIVE_INFINITY,
      };
      return names.map((name) => {
        const { points, total } = metrics.curve(segments, name, range, query.buckets ?? 0);
        return {
          name,
          steps: Array.from(points.steps),
          values: Array.from(points.values, toWireNumber),
          times: Array.from(points.times, (time) => (time - start) / 1000),
          total,
        };
      });
    },
    summarizeMetrics(run: string): Record<string, MetricSummary> {
      const segments = lineageOf(catalog, run);
      const entries = metrics
        .lineageNames(segments)
        .map((name) => [name, summarize(metrics.lineage(segments, name))] as const);
      return Object.fromEntries(entries.filter((entry): entry is [string, MetricSummary] => entry[1] !== null));
    },
    compareOverlap: (session: string) => compareOverlap(catalog, metrics, session),

    // ---- upkeep ----

    usage(): StoreUsage {
      const { count, trashBytes } = catalog.countCheckpoints();
      const size = (name: string) => (existsSync(join(path, name)) ? statSync(join(path, name)).size : 0);
      const free = Number(Object.values(objects.database.prepare('PRAGMA freelist_count').get()!)[0]);
      return {
        objectsBytes: size('objects.db'),
        catalogBytes: size('catalog.db') + size('catalog.db-wal'),
        sessionsBytes: directoryBytes(join(path, 'sessions')),
        freeBytes: free * 65536,
        trashBytes,
        quotaBytes: Number(objects.meta('quota')),
        checkpoints: count,
      };
    },
    setQuota: (bytes: number) => objects.setMeta('quota', String(bytes)),
    async gc(emptyTrash: boolean) {
      const limit = emptyTrash ? Number.POSITIVE_INFINITY : Date.now() - TRASH_DAYS * DAY_MS;
      return withReserve(path, async () => {
        const expired = catalog.trashedCheckpoints().filter(({ trashedAt }) => trashedAt! < limit);
        for (const { id } of expired) forgetCheckpoint(id);
        const oldRuns = catalog.database
          .prepare('SELECT id FROM run WHERE trashed < ?')
          .all(limit === Number.POSITIVE_INFINITY ? 1e300 : limit);
        for (const row of oldRuns) await api.purgeRun(String(row.id));
        const removedChunks = await upkeep.sweep();
        const returnedBytes = await returnSpace(objects, pause, true);
        return { removedCheckpoints: expired.length, removedChunks, returnedBytes };
      });
    },
    unpackedBytes: () => unpackedBytes(objects),
    pack(milliseconds: number, minAgeMs: number): Promise<Packed> {
      const isLive = (run: string) => LIVE_STATUSES.includes(catalog.run(run)?.status ?? 'lost');
      return upkeep.pack(milliseconds, minAgeMs, isLive);
    },
    async fsck(rebuild: boolean): Promise<FsckReport> {
      const report = await checkObjects(objects, pause);
      if (!rebuild) return { ...report, rebuilt: null };
      catalog.database.close();
      setAside(path);
      catalog = new Catalog(openCatalog(join(path, 'catalog.db')));
      metrics = new Metrics(catalog);
      return { ...report, rebuilt: fillCatalog(objects, catalog, metrics, path) };
    },
    isDiskFull: (error: { code?: string }) => isDiskFull(error),
    async close(): Promise<void> {
      await upkeep.close();
      await coders.close();
      await hasher.close();
      catalog.database.close();
      objects.close();
      ownership.release();
    },
  };
  return api;
}

function openObjects(path: string): Objects {
  try {
    return new Objects(path);
  } catch (error) {
    if (error instanceof TrainstashError) throw error;
    throw new TrainstashError(
      'storeUnusable',
      `${path} cannot be opened as a database (${(error as Error).message}). Nothing was changed. Checkpoints not yet taken in are still in ${join(path, '..', 'sessions')}; put a copy of the file back, or move it away to start an empty store.`,
      { path, reason: (error as Error).message },
    );
  }
}

/** A catalog that is damaged is set aside and rebuilt; one from the future is not touched. */
function openOrRebuild(store: string, objects: Objects): { catalog: Catalog; rebuilt: boolean } {
  const path = join(store, 'catalog.db');
  const fresh = !existsSync(path);
  try {
    const database = openCatalog(path);
    const check = database.prepare('PRAGMA quick_check(1)').get()!;
    if (Object.values(check)[0] !== 'ok') {
      database.close();
      throw new Error(String(Object.values(check)[0]));
    }
    const catalog = new Catalog(database);
    if (fresh && objects.changes() > 0) {
      fillCatalog(objects, catalog, new Metrics(catalog), store);
      return { catalog, rebuilt: true };
    }
    return { catalog, rebuilt: false };
  } catch (error) {
    if (error instanceof TrainstashError || isDiskFull(error)) throw error;
    setAside(store);
    const catalog = new Catalog(openCatalog(path));
    fillCatalog(objects, catalog, new Metrics(catalog), store);
    return { catalog, rebuilt: true };
  }
}

function setAside(store: string): void {
  const stamp = new Date().toISOString().replaceAll(/[:.]/g, '-');
  for (const suffix of ['', '-wal', '-shm']) {
    const file = join(store, `catalog.db${suffix}`);
    if (existsSync(file)) renameSync(file, join(store, `catalog-damaged-${stamp}.db${suffix}`));
  }
}

function directoryBytes(path: string): number {
  let bytes = 0;
  for (const entry of readdirSync(path, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile()) continue;
    try {
      bytes += statSync(join(entry.parentPath, entry.name)).size;
    } catch {
      // Gone since the listing.
    }
  }
  return bytes;
}
