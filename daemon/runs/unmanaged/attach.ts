/** Takes over the session directories of a store that the daemon has just opened. */
import { readdirSync, renameSync, rmSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import * as v from 'valibot';
import type { Params, Run, Session } from '../../../protocol/domain.ts';
import { maskParams, maskWords } from '../../../protocol/secrets.ts';
import { idSchema, type Launch } from '../../../protocol/session.ts';
import { LIVE_STATUSES } from '../../../protocol/status.ts';
import { SessionDirectory } from '../../../session/directory.ts';
import { prunePrinted } from '../../../session/printed.ts';
import { isSetAside } from '../../../session/sweep.ts';
import { isAlive } from '../../../session/watch.ts';
import { type ProjectContext, sessionIds, sessionOf, sessionsPath } from '../context.ts';
import { newRun, sessionOfLaunch } from '../records.ts';
import type { Runs } from '../runs.ts';

/**
 * Minimum age of a directory without a readable launch file before it is discarded: a younger one may still be in the
 * making.
 */
const UNFINISHED_MS = 60_000;
/** Suffix of a session directory that is being discarded. */
const UNSTARTED = '.unstarted';

export async function adoptSessions(context: ProjectContext, runs: Runs): Promise<void> {
  await runs.engines.recover();
  const { store } = context;
  for (const name of readdirSync(sessionsPath(context)))
    if (name.endsWith(UNSTARTED)) rmSync(join(sessionsPath(context), name), { recursive: true, force: true });
  for (const directory of intactSessions(context)) {
    const { id } = directory;
    const launch = launchOf(directory);
    // Lives on engines are followed by what their engine says.
    if (!launch || (launch.run && launch.life !== undefined && runs.engines.has(launch.run))) continue;
    if (launch.purpose !== 'train') {
      discardReplay(directory, launch);
      continue;
    }
    if (launch.run && runs.queued.has(launch.run) && discardUnstarted(directory)) continue;
    const stored = await store.session(id);
    if (launch.imported && !stored) {
      // The daemon died before the import was stored: the next one does it again.
      rmSync(directory.path, { recursive: true, force: true });
      continue;
    }
    if (stored && stored.endedAt !== null && !hasCheckpoints(directory) && !(await isUnsettled(context, launch))) {
      prunePrinted(directory);
      continue;
    }
    const run = (launch.run && (await store.run(launch.run))) || (await runOf(context, launch));
    const session = stored ?? (await recordSession(context, run, launch));
    runs.adopt(await withLiveStatus(context, run, session), session, launch);
  }
  await settleOrphans(context, runs);
}

/**
 * Takes over scripts that were started by hand while the project is open: their sessions appear next to the daemon's
 * own.
 */
export async function adoptUnmanaged(context: ProjectContext, runs: Runs, seen: Set<string>): Promise<void> {
  for (const directory of intactSessions(context, seen)) {
    const { id } = directory;
    const launch = launchOf(directory);
    // Not written yet: looked at again next time.
    if (!launch) continue;
    seen.add(id);
    // The launcher follows the sessions that it starts.
    if (launch.run !== null || launch.purpose !== 'train' || (await context.store.session(id))) continue;
    const run = await runOf(context, launch);
    if (runs.liveRuns().some(({ id: other }) => other === run.id)) {
      // An earlier life of it is just ending: this one is looked at again.
      seen.delete(id);
      continue;
    }
    const session = await recordSession(context, run, launch);
    runs.adopt(await withLiveStatus(context, run, session), session, launch);
  }
}

/** Lists the sessions that are not in `seen`. Leaves alone, and logs, a session directory that contains a link. */
export function intactSessions(context: ProjectContext, seen: Set<string> = new Set()): SessionDirectory[] {
  const fresh = sessionIds(context).filter((id) => !seen.has(id));
  return fresh.flatMap((id) => {
    const directory = sessionOf(context, id);
    if (directory.isIntact()) return [directory];
    context.log(`${directory.path} has a link in it and was left alone`);
    seen.add(id);
    return [];
  });
}

/** Reads the launch file; null also for one that names another session. */
function launchOf(directory: SessionDirectory): Launch | null {
  const launch = directory.launch();
  return launch?.session === directory.id ? launch : null;
}

/** Settles runs that count as live although their session directory is gone or was never made. */
async function settleOrphans(context: ProjectContext, runs: Runs): Promise<void> {
  const { store } = context;
  const followed = new Set(runs.liveRuns().map(({ id }) => id));
  await runs.queued.recover((run) => followed.has(run) || runs.engines.has(run));
  for (const run of await store.runsWithStatus(['starting', 'running', 'pausing', 'stopping'])) {
    if (!followed.has(run.id) && !runs.engines.has(run.id))
      await runs.change(run.id, {
        set: { status: 'lost', reason: 'its session directory is gone', endedAt: Date.now() },
      });
  }
  for (const session of await store.openSessions()) {
    if (!followed.has(session.run) && !runs.engines.has(session.run))
      await store.putSession({ ...session, endedAt: Date.now() });
  }
}

/** Discards a replay whose daemon has died: nobody waits for it. */
function discardReplay(directory: SessionDirectory, launch: Launch): void {
  if (isAlive(directory) || Date.now() - launch.createdAt < UNFINISHED_MS) return;
  rmSync(directory.path, { recursive: true, force: true });
}

/**
 * Discards a session whose daemon died before it had started the process. Returns false if there is a process after
 * all.
 */
function discardUnstarted(directory: SessionDirectory): boolean {
  if (directory.process() !== null || isAlive(directory)) return false;
  // Renamed first: a process that is just starting then finds no directory, or is found to have started.
  const moved = new SessionDirectory(`${directory.path}${UNSTARTED}`);
  renameSync(directory.path, moved.path);
  if (moved.process() !== null || isAlive(moved)) {
    renameSync(moved.path, directory.path);
    return false;
  }
  rmSync(moved.path, { recursive: true, force: true });
  return true;
}

/** Tells whether the daemon died between a session's end and the record of it in its run. */
async function isUnsettled({ store }: ProjectContext, { run: id, session }: Launch): Promise<boolean> {
  const run = id === null ? undefined : await store.run(id);
  return run?.session === session && run.status !== 'queued' && LIVE_STATUSES.includes(run.status);
}

function hasCheckpoints(directory: SessionDirectory): boolean {
  return directory.inbox().length > 0 || directory.claimed().some((name) => !isSetAside(name));
}

/** Returns the run of a session without a record: one that an earlier life of its job, or an earlier cell of its kernel, has begun; or a new one. */
async function runOf(context: ProjectContext, launch: Launch): Promise<Run> {
  const made = await adoptedRun(context, launch);
  const known = launch.allocation?.restart || launch.resume ? await context.store.run(made.id) : undefined;
  return known ?? context.store.createRun(made);
}

/** Makes the record of a run that was started without a daemon, or whose row was lost. */
async function adoptedRun({ branches }: ProjectContext, launch: Launch): Promise<Run> {
  const { branch } = launch.identity;
  const branchId = branch === null ? null : ((await branches?.idAt(branch, launch.createdAt)) ?? null);
  const folder = launch.command && basename(launch.command.dir);
  const id = launch.run ?? (v.is(idSchema, folder) ? folder : null);
  const run = newRun({
    job: launch.job,
    params: maskParams(launch.params as Params),
    overrides: Object.keys(launch.params),
    seed: launch.seed,
    backend: launch.backend,
    kind: launch.command ? 'command' : 'module',
    command:
      launch.command && launch.run === null
        ? { words: maskWords(launch.command.words), cwd: relative(launch.root, launch.command.cwd) }
        : null,
    identity: { ...launch.identity, branchId, codeLeftOut: [] },
    restarts: 0,
  });
  return {
    ...run,
    // A run that has its own folder for files takes its id from it.
    ...(id ? { id } : {}),
    createdAt: launch.createdAt,
    startedAt: launch.createdAt,
  };
}

async function recordSession(context: ProjectContext, run: Run, launch: Launch): Promise<Session> {
  const session = sessionOfLaunch(run, launch);
  await context.store.putSession(session);
  return session;
}

async function withLiveStatus(context: ProjectContext, run: Run, session: Session): Promise<Run> {
  const status =
    run.status === 'pausing' || run.status === 'stopping'
      ? run.status
      : run.step > 0 || run.status === 'running'
        ? 'running'
        : 'starting';
  const sessions = Math.max(run.sessions, session.ordinal);
  return context.store.changeRun(run.id, { set: { status, waiting: null, session: session.id, sessions } });
}
