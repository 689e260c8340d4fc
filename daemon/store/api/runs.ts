/** Stores runs and sessions. */
import { inside } from '../../../base/inside.ts';
import type { Run, Session } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { SESSION_FILES } from '../../../protocol/session.ts';
import type { EventSource, RunFilter } from '../catalog/catalog.ts';
import { takeEvents } from '../catalog/events.ts';
import { hasFields, type RunChange, type RunFields, withChange } from '../catalog/run-change.ts';
import { recounted } from '../maintenance/retention.ts';
import { withReserve } from '../maintenance/sweep.ts';
import { summariesOf } from './metrics.ts';
import { MIN_PREFIX, type Parts } from './parts.ts';

export function runsApi(parts: Parts) {
  return {
    createRun(run: Run): Run {
      const created = { ...run, number: parts.catalog.nextRunNumber() };
      if (created.name === '') created.name = `${run.job} #${created.number}`;
      parts.catalog.putRun(created);
      return created;
    },
    /** Changes a run's record as it is now. `known` takes the place of one whose row is damaged; without it that is `notFound`. */
    changeRun: (id: string, change: RunChange, known?: Run): Run =>
      changeRun(parts, parts.catalog.run(id) ?? known ?? requireRun(parts, id), change),
    /** Records how far a live run has come, which its events tell again after a power cut. */
    recordProgress: (id: string, set: RunFields, known: Run): Run =>
      parts.catalog.database.transaction(() => changeRun(parts, parts.catalog.run(id) ?? known, { set }), 'later'),
    /** Changes it if it still has these values, as the caller has read them; null: it has others. */
    changeRunIf(id: string, when: RunFields, change: RunChange): Run | null {
      const run = requireRun(parts, id);
      return hasFields(run, when) ? changeRun(parts, run, change) : null;
    },
    /** Changes a run that, or whose checkpoints, went to the trash or came back. Works on a full disk, too. */
    changeTrashedRun: (id: string, change: RunChange): Promise<Run> =>
      withReserve(parts.path, async () => changeRun(parts, requireRun(parts, id), change)),
    run: (id: string) => parts.catalog.run(id),
    /** Reads a run that a record names. Throws `notFound`: a record can name a missing one. */
    requireRun: (id: string): Run => requireRun(parts, id),
    runs: (filter: RunFilter) => parts.catalog.runs(filter),
    countRuns: () => parts.catalog.countRuns(),
    branches: () => parts.catalog.branches(),
    nameBranches: (names: readonly [id: string, name: string][]) => parts.catalog.nameBranches(names),
    runsWithoutBranchId: () => parts.catalog.runsWithoutBranchId(),
    runsWithStatus: (statuses: readonly string[]) => parts.catalog.runsWithStatus(statuses),
    runsOfSweep: (sweep: string) => parts.catalog.runsOfSweep(sweep),
    findRun: (query: string) => findRun(parts, query),
    /** Returns everything at once, since each call is a round trip to this thread. */
    showRun(query: string, limit: number) {
      const run = findRun(parts, query);
      return {
        run,
        sessions: parts.catalog.sessions(run.id),
        checkpoints: parts.catalog.checkpointPage(run.id, false, 0, limit).reverse(),
      };
    },
    putSession: (session: Session) => parts.catalog.putSession(session),
    session: (id: string) => parts.catalog.session(id),
    sessions: (run: string) => parts.catalog.sessions(run),
    openSessions: () => parts.catalog.openSessions(),
    takeEvents: (session: string, source: EventSource) =>
      takeEvents(
        parts.catalog,
        parts.metrics,
        session,
        source,
        inside(parts.path, `sessions/${session}/${SESSION_FILES[source]}`),
      ),

    /**
     * Stores runs whose only session has ended already, with all events of that session: all of them or none, in one transaction.
     * Returns the records, with the summaries of their metrics.
     */
    putEnded: (ended: readonly { run: Run; session: Session }[]): Run[] => putEnded(parts, ended),
    /** Lists drafts that ended before `time`: nobody will look for them. */
    draftsEndedBefore: (time: number) => parts.catalog.draftsEndedBefore(time).map(({ id }) => id),
    purgeRun: (id: string) => parts.purgeRun(id),
  };
}

function requireRun({ catalog }: Parts, id: string): Run {
  const run = catalog.run(id);
  if (run) return run;
  throw new TrainstashError(
    'notFound',
    `The run ${id} is referenced but missing. \`trainstash fsck\` shows the cause.`,
    {
      what: 'run',
      query: id,
    },
  );
}

function changeRun({ catalog }: Parts, run: Run, change: RunChange): Run {
  const changed = withChange(run, change);
  return catalog.putRun(change.recount ? recounted(changed, catalog.checkpoints(run.id)) : changed);
}

function putEnded({ catalog, metrics, path }: Parts, ended: readonly { run: Run; session: Session }[]): Run[] {
  try {
    return catalog.database.transaction(() =>
      ended.map(({ run: given, session }) => {
        const number = given.number || catalog.nextRunNumber();
        const run = { ...given, number, name: given.name || `${given.job} #${number}` };
        catalog.putRun(run);
        catalog.putSession(session);
        const file = inside(path, `sessions/${session.id}/${SESSION_FILES.events}`);
        while (takeEvents(catalog, metrics, session.id, 'events', file, true).more);
        const whole = { ...run, metrics: summariesOf(catalog, metrics, run.id) };
        catalog.putRun(whole);
        return whole;
      }),
    );
  } catch (error) {
    // Ids of series that were made meanwhile are gone with the transaction.
    metrics.forgetIds();
    throw error;
  }
}

function findRun(parts: Parts, query: string): Run {
  const text = query.replace(/^#/, '');
  const byNumber = /^\d{1,9}$/.test(text) ? parts.catalog.runByNumber(Number(text)) : undefined;
  if (byNumber) return byNumber;
  const candidates = text.length >= MIN_PREFIX ? parts.catalog.runsByPrefix(text) : [];
  const exact = candidates.find((run) => run.id === text) ?? (candidates.length === 1 ? candidates[0] : undefined);
  if (exact) return exact;
  if (candidates.length > 1) {
    throw new TrainstashError('ambiguous', `"${query}" matches ${candidates.length} runs. Type more of the id.`, {
      what: 'run',
      query,
      matches: candidates.map((run) => `${run.id} (${run.name})`),
    });
  }
  const named = parts.catalog.runsByName(query);
  if (named.length === 1) return named[0]!;
  const newest =
    query === 'last' ? parts.catalog.runs({ drafts: true, trashed: false, before: null, limit: 1 }).runs[0] : undefined;
  if (newest) return newest;
  const [, ofRun] = /^(.+)@[^@]+$/.exec(query) ?? [];
  const hint = ofRun
    ? ` ${query} names a checkpoint; \`trainstash show ${ofRun}\` shows its run.`
    : ' `trainstash ls --all` lists them.';
  throw new TrainstashError('notFound', `There is no run "${query}".${hint}`, {
    what: 'run',
    query,
  });
}
