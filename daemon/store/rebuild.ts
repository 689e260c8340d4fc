/** Rebuilds the catalog from objects.db and the session directories. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson } from '../../base/files.ts';
import type { Run, Session } from '../../protocol/domain.ts';
import { blankRun } from '../../protocol/records.ts';
import { exitSchema, idSchema, launchSchema, SESSION_FILES } from '../../protocol/session.ts';
import type { Catalog } from './catalog/catalog.ts';
import { takeEvents } from './catalog/events.ts';
import type { Metrics } from './catalog/metrics.ts';
import { type Points, rangeOf, where } from './catalog/points.ts';
import { checkpointOf } from './checkpoints/body.ts';
import { soundBodyOf, unpackMetrics } from './checkpoints/writer.ts';
import type { Objects } from './objects/objects.ts';

/** Updates the catalog's checkpoints from objects.db, if a crash left it behind. */
export function followObjects(objects: Objects, catalog: Catalog): void {
  if (catalog.meta('followed') === String(objects.changes())) return;
  catalog.database.transaction(() => {
    const stale = catalog.checkpointIds();
    for (const row of objects.allSaved('checkpoint')) {
      // A checkpoint that can no longer be read is still shown as it was.
      stale.delete(row.id);
      if (soundBodyOf(row)) catalog.putCheckpoint(checkpointOf(row, objects.marks(row.seq)));
    }
    for (const id of stale) catalog.removeCheckpoint(id);
    catalog.setMeta('followed', String(objects.changes()));
  });
}

/**
 * Fills an empty catalog. Not restored: renames and notes since a run's newest checkpoint, runs whose session
 * directories are gone and that have no checkpoint, and the queue.
 */
export function fillCatalog(objects: Objects, catalog: Catalog, metrics: Metrics, store: string) {
  const notRestored: string[] = [];
  const sessions = sessionIds(store);
  // Without a readable launch file the events have no run: then the checkpoints tell.
  const sessionsWithEvents = new Set(sessions.filter((id) => launchIn(store, id) !== null));
  const taken = new Map<string, Taken>();
  catalog.database.transaction(() => {
    for (const row of objects.allSaved('checkpoint')) {
      const body = soundBodyOf(row);
      if (!body) {
        notRestored.push(`checkpoint ${row.id}: its description cannot be read`);
        continue;
      }
      const { run, session } = body;
      // A later session may have run other code: the run belongs to the branch where it began.
      const { branch, commit, dirty, code } = catalog.run(run.id) ?? run;
      catalog.putRun({
        ...run,
        ...{ branch, commit, dirty, code },
        status: 'lost',
        reason: 'rebuilt from its checkpoints',
        endedAt: run.endedAt ?? row.created,
      });
      catalog.putSession({ ...session, endedAt: session.endedAt ?? row.created });
      catalog.putCheckpoint(checkpointOf(row, objects.marks(row.seq)));
      if (!sessionsWithEvents.has(session.id) && row.metrics)
        for (const { name, points } of unpackMetrics(row.metrics)) appendNew(metrics, taken, session.id, name, points);
    }
  });
  for (const id of sessions) {
    if (!restoreSession(catalog, store, id)) {
      notRestored.push(`session ${id}: its ${SESSION_FILES.launch} cannot be read`);
      continue;
    }
    for (const source of ['runnerEvents', 'events'] as const)
      while (takeEvents(catalog, metrics, id, source, join(store, 'sessions', id, SESSION_FILES[source])).more);
  }
  catalog.setMeta('followed', String(objects.changes()));
  return { runs: catalog.countRuns(), checkpoints: catalog.checkpointIds().size, notRestored };
}

/** Highest step and newest time that were stored of a series. */
interface Taken {
  step: number;
  time: number;
}

/** Appends each point once, also later ones of lower steps: checkpoints overlap where the one in between is gone. */
function appendNew(metrics: Metrics, taken: Map<string, Taken>, session: string, name: string, points: Points): void {
  const key = `${session}\0${name}`;
  const { step, time } = taken.get(key) ?? { step: Number.NEGATIVE_INFINITY, time: Number.NEGATIVE_INFINITY };
  const { steps, times } = points;
  const fresh = where(points, (i) => steps[i]! > step || times[i]! > time);
  if (fresh.steps.length === 0) return;
  const [highest, newest] = [rangeOf(fresh.steps)[1], rangeOf(fresh.times)[1]];
  taken.set(key, { step: Math.max(step, highest), time: Math.max(time, newest) });
  metrics.append(session, name, fresh);
}

/** Restores sessions and runs without checkpoints. Left open, so that the daemon determines how they ended. */
function restoreSession(catalog: Catalog, store: string, id: string): boolean {
  const launch = launchIn(store, id);
  if (!launch) return false;
  const { run: runId, runNumber, ...facts } = launch;
  if (runId === null) return true; // Started without a daemon: adopted, and named, like any other such session.
  const known = catalog.session(id);
  const exit = v.safeParse(exitSchema, readJson(join(store, 'sessions', id, SESSION_FILES.exit)));
  const session: Session = known ?? {
    id,
    run: runId,
    ordinal: catalog.sessions(runId).length + 1,
    purpose: facts.purpose,
    startedAt: facts.createdAt,
    endedAt: null,
    resumedFrom: facts.resume && { checkpoint: facts.resume.checkpoint, step: facts.resume.step },
    environment: {},
  };
  catalog.putSession({ ...session, endedAt: null });
  const run = catalog.run(runId);
  if (run && exit.success && facts.purpose === 'train')
    catalog.putRun({
      ...run,
      status: exit.output.outcome,
      reason: exit.output.reason,
      step: Math.max(run.step, exit.output.step),
    });
  if (!run) catalog.putRun(runOf(runId, runNumber ?? catalog.nextRunNumber(), facts));
  return true;
}

function runOf(id: string, number: number, launch: RestoredLaunch): Run {
  const { job, params, seed, backend, identity, createdAt, monitor, session } = launch;
  const facts = {
    id,
    job,
    params: params as Run['params'],
    overrides: Object.keys(params),
    seed,
    backend,
    ...identity,
    codeLeftOut: [],
  };
  return {
    ...blankRun(facts, createdAt),
    number,
    name: `${job} #${number}`,
    status: 'lost',
    reason: 'rebuilt from its session directory',
    startedAt: createdAt,
    monitor,
    session,
    sessions: 1,
  };
}

type RestoredLaunch = Omit<v.InferOutput<typeof launchSchema>, 'run' | 'runNumber'>;

function launchIn(store: string, id: string): v.InferOutput<typeof launchSchema> | null {
  const launch = v.safeParse(launchSchema, readJson(join(store, 'sessions', id, SESSION_FILES.launch)));
  return launch.success ? launch.output : null;
}

function sessionIds(store: string): string[] {
  const entries = readdirSync(join(store, 'sessions'), { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isDirectory() && v.is(idSchema, entry.name) ? [entry.name] : []));
}
