/** Exchanges runs and checkpoints with another store. What comes in is untrusted. */
import type { MessagePort } from 'node:worker_threads';
import type { Proof, Run, Session } from '../../../protocol/domain.ts';
import { TrainstashError, toWire, type WireError } from '../../../protocol/errors.ts';
import { LIVE_STATUSES } from '../../../protocol/status.ts';
import type { Points } from '../catalog/points.ts';
import { readRun, readSession } from '../catalog/rows.ts';
import {
  commitIncoming,
  type IncomingCheckpoint,
  type IncomingChunk,
  putIncomingChunks,
} from '../checkpoints/incoming.ts';
import { asStoreError } from '../failures.ts';
import { recounted } from '../maintenance/retention.ts';
import { hasRoomFor, makeReserve } from '../maintenance/sweep.ts';
import type { Parts } from './parts.ts';

/** Points of a series from its `from`-th one on, counted from 0. */
export interface SeriesPart {
  session: string;
  name: string;
  from: number;
  points: Points;
}

/** Counts of points by session and series. */
export type PointCounts = Record<string, Record<string, number>>;

/** Run with its sessions and the points that the other side does not have. */
export interface ExchangedRun {
  run: Run;
  sessions: Session[];
  series: SeriesPart[];
}

/** Requests of a transfer into the store, over a port of its own. Chunks are held until the port is closed. */
export type IntakeRequest =
  | { id: number; find: Uint8Array[] }
  | { id: number; chunks: IncomingChunk[] }
  | { id: number; commit: IncomingCheckpoint };
/** Replies: whether each chunk is there, or the id of the stored checkpoint; an empty one for chunks. */
export type IntakeReply = { id: number; found?: boolean[]; checkpoint?: string; error?: WireError };

export function exchangeApi(parts: Parts) {
  return {
    /** Reads a run for another store, with the points beyond those that it has already. */
    exchangedRun(id: string, known: PointCounts): ExchangedRun {
      const run = parts.catalog.run(id);
      if (!run) throw new TrainstashError('notFound', `There is no run ${id}.`, { what: 'run', query: id });
      const sessions = parts.catalog.sessions(id).filter(({ purpose }) => purpose === 'train');
      const series = sessions.flatMap(({ id: session }) =>
        parts.metrics.names(session).flatMap((name) => {
          const from = Math.max(0, known[session]?.[name] ?? 0);
          if (parts.metrics.count(session, name) <= from) return [];
          return [{ session, name, from, points: after(parts.metrics.read(session, name), from) }];
        }),
      );
      return { run, sessions, series };
    },

    /**
     * Stores a run from elsewhere, or what is new about a known one. A live run's own record stays. It keeps its number if that
     * is free.
     */
    importRun({ run: given, sessions, series }: ExchangedRun): Run {
      const run = checked(readRun(JSON.stringify(given))?.record, given.id);
      const stored = parts.catalog.database.transaction(() => {
        const own = parts.catalog.run(run.id);
        const isLive = own !== undefined && LIVE_STATUSES.includes(own.status);
        const isNews = own === undefined || isNewer(run, own);
        const number = own?.number ?? freeNumber(parts, run.number);
        const name = run.name === `${run.job} #${run.number}` ? `${run.job} #${number}` : run.name;
        const kept = own && {
          name: own.name,
          note: own.note,
          checkpoints: own.checkpoints,
          lastCheckpoint: own.lastCheckpoint,
          ...(own.pinned ? { pinned: own.pinned } : {}),
          ...(own.branchId === null ? {} : { branch: own.branch, branchId: own.branchId }),
        };
        if (!isLive && isNews) parts.catalog.putRun({ ...run, name, ...kept, number });
        for (const session of sessions) {
          const { record } = readSession(JSON.stringify(session)) ?? {};
          if (record?.run !== run.id) throw unfit(run.id);
          if (!parts.catalog.session(record.id)) parts.catalog.putSession(record);
        }
        for (const { session, name: metric, from, points } of series) {
          if (parts.catalog.session(session)?.run !== run.id) throw unfit(run.id);
          const have = parts.metrics.count(session, metric);
          // What lies between is not here: a later part must not take its place.
          if (have < from || have >= from + points.steps.length) continue;
          parts.metrics.append(session, metric, after(points, have - from));
        }
        return parts.catalog.run(run.id);
      });
      return checked(stored, run.id);
    },

    /** Brings a run's count of checkpoints up to date, and its newest one, after some came in. */
    recountCheckpoints(id: string): Run | null {
      const run = parts.catalog.run(id);
      if (!run || LIVE_STATUSES.includes(run.status)) return run ?? null;
      return parts.catalog.putRun(recounted(run, parts.catalog.checkpoints(id)));
    },

    /** Marks a checkpoint that came in as it was marked where it comes from. */
    markIncoming(id: string, tags: readonly string[], proof: Proof | null) {
      for (const tag of tags) parts.objects.setMark(id, 'tag', tag);
      if (proof) parts.objects.setMark(id, 'proof', JSON.stringify(proof));
      return parts.refreshCheckpoint(id);
    },

    /** Tells whether that many bytes fit below the quota and on the disk. Deletes nothing to make them fit. */
    async hasRoom(bytes: number): Promise<boolean> {
      return (await parts.takenBytes()) + bytes <= parts.quotaBytes && hasRoomFor(parts.path, bytes);
    },

    /** Takes chunks and checkpoints in until the port is closed. */
    takeIn({ port }: { port: MessagePort }): void {
      const save = parts.objects.beginSave();
      port.on('message', async (request: IntakeRequest) => {
        const { id } = request;
        const answer = (reply: Omit<IntakeReply, 'id'>) => port.postMessage({ id, ...reply } satisfies IntakeReply);
        try {
          if ('find' in request)
            answer({ found: request.find.map((hash) => parts.objects.findChunk(save, hash) !== null) });
          else if ('chunks' in request) {
            await putIncomingChunks(parts.objects, parts.coders, save, request.chunks);
            answer({});
          } else {
            const checkpoint = commitIncoming(parts.objects, save, request.commit);
            parts.follow(() => parts.catalog.putCheckpoint(checkpoint));
            makeReserve(parts.path);
            answer({ checkpoint: checkpoint.id });
          }
        } catch (error) {
          answer({ error: toWire(asStoreError(error, parts.path)) });
        }
      });
      port.on('close', () => parts.objects.endSave(save));
    },
  };
}

/** Tells whether a record is of later than the one that is here. One that was live when it was sent may end without another step. */
function isNewer(given: Run, own: Run): boolean {
  if (given.sessions !== own.sessions || given.step !== own.step)
    return given.sessions > own.sessions || given.step > own.step;
  return own.origin?.wasLive === true && given.origin?.wasLive === false;
}

function after({ steps, values, times }: Points, from: number): Points {
  return { steps: steps.slice(from), values: values.slice(from), times: times.slice(from) };
}

function freeNumber({ catalog }: Parts, wanted: number): number {
  const isUsable = Number.isSafeInteger(wanted) && wanted > 0 && wanted < 1e9;
  return isUsable && !catalog.runByNumber(wanted) ? wanted : catalog.nextRunNumber();
}

function checked(run: Run | undefined, id: string): Run {
  if (run?.id === id) return run;
  throw unfit(id);
}

function unfit(id: string): TrainstashError<'corrupted'> {
  return new TrainstashError('corrupted', `Run ${id} was not stored: its record contradicts itself.`, {});
}
