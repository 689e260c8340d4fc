/**
 * Starts sessions, follows them to their end, and restarts crashed runs. The truth is in session directories and the
 * store; the state in memory can be lost at any moment.
 */
import { rmSync } from 'node:fs';
import type { CodeIdentity, Run, Session } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import type { Launch } from '../../../protocol/session.ts';
import type { SessionDirectory } from '../../../session/directory.ts';
import { isFromEarlierBoot } from '../../../session/watch.ts';
import { deviceVariables } from '../../devices/allocate.ts';
import type { RunChange, RunFields } from '../../store/catalog/run-change.ts';
import { type ProjectContext, sessionOf } from '../context.ts';
import { withDeadline } from '../deferred.ts';
import type { Ended } from '../live/ended.ts';
import type { Away } from '../live/follower.ts';
import { watchLimits } from '../live/limits.ts';
import { LiveRun } from '../live/live-run.ts';
import { otherCodeNotices, passedOverNotices, restoredNotices } from '../live/notices.ts';
import { nextRestart } from '../live/restart.ts';
import { rememberOutputs } from '../outputs.ts';
import { newSession } from '../records.ts';
import { CrashedRuns, type Restarts, undecided } from './crashed.ts';
import { hasOtherParams, recentValues } from './earlier.ts';
import { type Environment, namesOf } from './environments.ts';
import { codeDifference, identityOf } from './identity.ts';
import type { Barrier, Device, Launching, OnEnded } from './launching.ts';
import { isPrivateCopy, type OriginalCode, originalCodeNotices } from './original-code.ts';
import { prepareSession } from './prepare.ts';
import { uvVariables } from './rebuilt.ts';

/** Longest wait of a start for "started" or a failure, so that a typo is an error and not a failed run. */
const START_WAIT_MS = 20_000;
/** Age up to which a measured identity counts as current. */
const FRESH_MS = 1_000;

export class Launcher {
  readonly #context: ProjectContext;
  readonly #device: Device;
  readonly #barrier: Barrier;
  readonly #restarts: Restarts;
  readonly #ended: OnEnded;
  readonly #live = new Map<string, LiveRun>();
  /** Runs that are being launched: a second request for the same run must not launch it twice. */
  readonly #launching = new Map<string, Run>();
  /** Environments for restarts. The values exist only here and in the trainer. */
  readonly #environments = new Map<string, Environment>();
  readonly #crashed = new CrashedRuns();
  readonly #wroteUntil = new Map<string, number>();
  #disposed = false;

  constructor(context: ProjectContext, device: Device, barrier: Barrier, restarts: Restarts, ended: OnEnded) {
    this.#context = context;
    this.#device = device;
    this.#barrier = barrier;
    this.#restarts = restarts;
    this.#ended = ended;
  }

  /** True if a run is live, launching, or waiting for a restart. */
  get busy(): boolean {
    return this.#live.size + this.#launching.size + this.#crashed.all.length > 0;
  }

  /** Runs that hold devices: live ones, those being launched, and those that restart. */
  get claims(): Run[] {
    // Those on engines hold devices of their nodes.
    const live = this.live
      .filter(({ run }) => !run.engine)
      .map((one) => (one.isBeginning ? { ...one.run, cooperative: true } : one.run));
    const others = [...this.#launching.values(), ...this.#crashed.all.filter(({ id }) => !this.#launching.has(id))];
    return [...live, ...others.filter(({ id }) => !this.#live.has(id))];
  }

  get live(): LiveRun[] {
    return [...this.#live.values()];
  }

  find(run: string): LiveRun | undefined {
    return this.#live.get(run);
  }

  isLaunching(run: string): boolean {
    return this.#launching.has(run);
  }

  /** Returns the environment that a run was launched with; undefined when the daemon that knew it is gone. */
  environmentOf(run: string): Environment | undefined {
    return this.#environments.get(run);
  }

  remember(run: string, { environment, interpreter }: Environment): void {
    this.#environments.set(run, { environment, interpreter });
  }

  /** Returns when a run of that branch that writes by path last ended there. */
  wroteUntil(root: string, branchId: string): number {
    return this.#wroteUntil.get(`${root}\0${branchId}`) ?? 0;
  }

  /** Gives renamed branches their new names, by their ids. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    for (const live of this.#live.values()) live.branchesRenamed(names);
  }

  /** Takes over a session that runs, or ran, without this daemon. */
  adopt(run: Run, session: Session, launch: Launch, away?: Away): void {
    if (this.#live.has(run.id)) return;
    this.#follow(run, session, launch, sessionOf(this.#context, session.id), away);
  }

  dispose(): void {
    this.#disposed = true;
    this.#crashed.dispose();
    for (const live of this.#live.values()) live.dispose();
    this.#live.clear();
  }

  /** Launches a run and waits until it has started. A failure before that leaves the run as it was. */
  begin(launching: Launching): Promise<Run> {
    return this.#exclusively(launching.run, () => this.#launchOrUndo(launching));
  }

  /**
   * Launches a queued run, and resolves as soon as the run is being followed. Returns false if its devices are taken: its code was looked
   * at since its turn came, and meanwhile somebody may have started another run.
   */
  async beginQueued(launching: Launching): Promise<boolean> {
    const { id, devices, gpu } = launching.run;
    const environment = this.#environments.get(id)?.environment ?? {};
    if (!this.#device.admit(devices?.length ? devices : gpu, environment, id).granted) {
      this.#device.changed();
      return false;
    }
    await this.#exclusively(launching.run, () => this.#launch(launching));
    return true;
  }

  async #exclusively<T>(run: Run, work: () => Promise<T>): Promise<T> {
    this.#launching.set(run.id, run);
    // Whoever starts it does what its restart was for.
    this.#crashed.forget(run.id);
    try {
      return await work();
    } finally {
      this.#launching.delete(run.id);
      // A run that could not be launched leaves the device to others.
      if (!this.#live.has(run.id)) this.#device.changed();
    }
  }

  /** Waits for "started"; a session that ends earlier because of bad input leaves nothing behind. */
  async #launchOrUndo(launching: Launching): Promise<Run> {
    const { run, before } = launching;
    const since = Date.now();
    const undo = async () => {
      this.#environments.delete(run.id);
      await this.undo(run.id, before, since);
    };
    const live = await this.#launch(launching).catch(async (error) => {
      await undo();
      throw error;
    });
    try {
      await withDeadline(live.started.promise, START_WAIT_MS);
    } catch (error) {
      if (!(error instanceof TrainstashError) || error.code === 'internal') return this.#context.store.findRun(run.id);
      await live.follower.finished;
      rmSync(live.follower.directory.path, { recursive: true, force: true });
      await undo();
      throw error;
    }
    return this.#live.get(run.id)?.run ?? this.#context.store.findRun(run.id);
  }

  /** Makes a run what it was before a launch that has failed. What a person has changed since stays. */
  async undo(id: string, before: Run | null, since: number): Promise<void> {
    if (before) await this.change(id, { set: launchFieldsOf(before), dropNotices: { since } });
    else await this.#context.store.purgeRun(id);
  }

  async #launch({ run, set, job, checkpoint, startsAnew, accept, root, ...rest }: Launching): Promise<LiveRun> {
    const { store } = this.#context;
    const from = checkpoint && { checkpoint: checkpoint.id, step: checkpoint.step };
    const session: Session = startsAnew
      ? { ...newSession(run, 'train', null), offered: from }
      : newSession(run, 'train', from);
    const context = { ...this.#context, place: { ...this.#context.place, root } };
    if (rest.skip || (checkpoint && (await hasOtherParams(store, run, checkpoint)))) session.isChanged = true;
    const prepared = await prepareSession(this.#context, {
      run,
      session,
      job,
      checkpoint,
      startsAnew,
      root,
      accept: accept ? ['data', 'backend', 'package'] : [],
      debugger: rest.debugger,
      overrides: {
        variables: this.#namesOfVariables(run),
        ...(rest.original ? { cwd: rest.original.folder } : {}),
        skip: rest.skip ?? null,
        recent: checkpoint ? await recentValues(store, run, checkpoint) : {},
      },
      ...this.#environmentFor(run, rest.original),
    });
    const before = await this.#lastIdentity(run);
    // Preparing may take long, and the process runs the code that is there at its end.
    const isFresh = Date.now() - rest.measured.at < FRESH_MS;
    const now = isFresh ? rest.measured.identity : await identityOf(context);
    const identity = rest.original?.identity ?? now;
    prepared.recordAs(identity);
    session.identity = { ...identity };
    await store.putSession(session);
    const starting = await this.change(run.id, {
      set: {
        ...set,
        ...(run.sessions === 0 ? identity : {}),
        status: 'starting',
        reason: '',
        failure: null,
        waiting: null,
        // Of a checkpoint it is known who restores it, long before a framework is imported and says so.
        startsAnew: checkpoint ? startsAnew : job.module === undefined && job.resume === undefined,
        backendReason: prepared.backendReason,
        session: session.id,
        sessions: session.ordinal,
        startedAt: run.startedAt ?? Date.now(),
        step: session.resumedFrom?.step ?? 0,
        endedAt: null,
        etaSeconds: null,
      },
      ...rest.notices,
    });
    // Before there is a process: its end may write the record anew, which what follows must not overwrite.
    const difference = await codeDifference(context, before, identity);
    const child = prepared.start();
    const live = this.#follow(starting, session, prepared.launch, prepared.directory);
    live.follower.ownChild(child);
    await live.addNotices([
      ...(prepared.restoredFiles ? restoredNotices(prepared.restoredFiles) : []),
      ...(checkpoint ? passedOverNotices(run, checkpoint.step, rest.passedOver) : []),
      ...(rest.original
        ? originalCodeNotices(rest.original, run, root, this.#environments.get(run.id)?.interpreter)
        : []),
      ...otherCodeNotices(session.ordinal, before, identity, difference),
    ]);
    return live;
  }

  /** Returns the run's environment, in which a process sees the devices that the run was given, and the packages of its code. */
  #environmentFor({ id, devices }: Run, original: OriginalCode | null | undefined): Environment {
    const known = this.#environments.get(id) ?? { environment: {} };
    const uv = original ? uvVariables(original.folder, known.interpreter) : {};
    return { ...known, environment: { ...known.environment, ...deviceVariables(devices), ...uv } };
  }

  /** Lists the variables that another environment has to have as well, without those for the devices of this session. */
  #namesOfVariables({ id }: Run): string[] | null {
    const known = this.#environments.get(id);
    return known ? namesOf(known.environment) : null;
  }

  /** Reads the identity of the newest session; before the first one, that of the run. */
  async #lastIdentity(run: Run): Promise<CodeIdentity> {
    const sessions = await this.#context.store.sessions(run.id);
    return sessions.findLast(({ purpose }) => purpose === 'train')?.identity ?? run;
  }

  #follow(run: Run, session: Session, launch: Launch, directory: SessionDirectory, away?: Away): LiveRun {
    const live = new LiveRun(this.#context, run, session, launch, directory, {
      ended: (ended) => this.#onEnded(ended),
      away,
      otherWriters: () => this.#othersWriting(run.id, launch.root),
      wrote: (paths) => {
        this.#barrier.wrote(launch.root, run.id, paths);
        rememberOutputs(this.#context.place.store, launch.root, paths);
      },
    });
    this.#live.set(run.id, live);
    watchLimits(live);
    return live;
  }

  /** Names other scripts in the same worktree that may save to any path. */
  #othersWriting(id: string, root: string): string[] {
    return [...this.#live.values()]
      .filter(({ run, launch }) => run.id !== id && launch.root === root && launch.command && !run.cooperative)
      .map(({ run }) => run.name);
  }

  async #onEnded(ended: Ended): Promise<void> {
    if (this.#disposed) return;
    const live = this.#live.get(ended.run.id);
    const wroteFiles = live?.writesFiles ?? false;
    // The branch that was there, which need not be that of the run's first session.
    const here = live?.atLaunch ?? ended.run;
    this.#crashed.hold(ended.run);
    this.#live.delete(ended.run.id);
    try {
      let failed: RunChange = {};
      // Whatever happens here, the run has ended: others hear of it, and the queue goes on.
      const goesOn = await this.#restarts.goesOn(ended).catch((error: Error) => {
        this.#context.log(`${ended.run.name} does not go on by itself: ${error.stack}`);
        failed = undecided(ended.run, error);
        return null;
      });
      await ended.change(goesOn ?? failed);
      if (!goesOn) this.#scheduleRestart(ended);
    } finally {
      this.#crashed.release(ended.run.id);
    }
    const launch = ended.directory.launch();
    const root = launch?.root ?? this.#context.place.root;
    if (wroteFiles) this.#wroteUntil.set(`${root}\0${here.branchId}`, Date.now());
    this.#barrier.ended(root, here);
    this.#ended(ended.run, root);
    this.#device.changed();
  }

  #scheduleRestart({ run, exit, directory, session, forced }: Ended): void {
    if (forced || (run.status !== 'failed' && run.status !== 'lost')) return;
    const next = nextRestart(run.restart, {
      kind: run.status,
      code: exit?.error?.code ?? null,
      rebooted: isFromEarlierBoot(directory),
      progressed: (run.lastCheckpoint?.step ?? 0) > ((session.resumedFrom ?? session.offered)?.step ?? 0),
    });
    if ('refused' in next) return;
    const options = this.#environments.get(run.id);
    if (!options) {
      const reason = `${run.reason}; restarts when \`trainstash resume\` supplies its environment`;
      void this.changeIf(run.id, asEnded(run), { set: { reason } });
      return;
    }
    const launch = directory.launch();
    const planned: Run = { ...run, restart: { ...next.policy } };
    if (launch) this.#restarts.plan(planned, launch, options);
    void this.changeIf(run.id, asEnded(run), { set: { restart: planned.restart } });
    const isOriginal = launch && isPrivateCopy(this.#context, run.id, launch.cwd);
    const code = isOriginal ? { code: 'then' as const } : {};
    this.#crashed.plan(run, next.delayMs, () => this.#restart(run.id, { root: launch?.root, ...options, ...code }));
  }

  async #restart(id: string, options: Environment & { root?: string; code?: 'then' }): Promise<void> {
    try {
      await this.#restarts.start(id, options);
    } catch (error) {
      // Somebody may have been faster: then its record is that of another session.
      if (this.#launching.has(id) || this.#live.has(id)) return;
      const { message } = error as Error;
      const run = await this.#context.store.run(id);
      this.#restarts.drop(id);
      this.#crashed.forget(id);
      this.#context.log(`${run?.name ?? id} was not restarted: ${message}`);
      if (run) await this.changeIf(id, asEnded(run), { set: { reason: `${run.reason}; not restarted: ${message}` } });
      this.#device.changed();
    }
  }

  /** Changes a run's record, also while it is live. */
  async change(id: string, change: RunChange): Promise<Run> {
    const live = this.#live.get(id);
    if (live) return live.change(change);
    const run = await this.#context.store.changeRun(id, change);
    this.#context.announce.run(run);
    return run;
  }

  /** Changes the record of a run that is not live if it still has the values that were read; null: it has gone on since. */
  async changeIf(id: string, when: RunFields, change: RunChange): Promise<Run | null> {
    if (this.#live.has(id)) return null;
    const run = await this.#context.store.changeRunIf(id, when, change);
    if (run) this.#context.announce.run(run);
    return run;
  }
}

/** Returns the values by which a run is known not to have gone on since a session of it ended. */
function asEnded({ status, session }: Run): RunFields {
  return { status, session };
}

/** Returns the fields that a launch and a session change. */
function launchFieldsOf(run: Run): RunFields {
  const { id, number, name, note, pinned, trashedAt, branch, branchId, ...others } = run;
  const { notices, checkpoints, lastCheckpoint, ...fields } = others;
  return fields;
}
