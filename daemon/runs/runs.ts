/**
 * The runs of one project: start, resume, fork, pause, stop; what happens to them meanwhile; how they end. The truth is
 * in session directories and the store; what is in memory here can be lost at any moment.
 */
import { rmSync } from 'node:fs';
import { cpus } from 'node:os';
import type { JobConfig } from '../../protocol/config.ts';
import {
  type Checkpoint,
  LIVE_STATUSES,
  type Notice,
  type Params,
  type Run,
  RESUMABLE_STATUSES,
  type RunStatus,
  type Session,
} from '../../protocol/domain.ts';
import { fromWire, type PreflightDifference, TrainstashError } from '../../protocol/errors.ts';
import { exitErrorToWire, type ExitRecord, type Launch } from '../../protocol/session.ts';
import { readHead } from '../code/project.ts';
import { changedFiles, takeSnapshot } from '../code/snapshot.ts';
import { SessionDirectory } from '../sessions/directory.ts';
import { spawnTrainer } from '../sessions/launch.ts';
import { isFromEarlierBoot, signalRunner } from '../sessions/watch.ts';
import type { TakenEvents } from '../store/events.ts';
import type { KeepPolicy } from '../store/retention.ts';
import { type Config, findJob, readConfig } from './config.ts';
import { type ProjectContext, sessionsPath } from './context.ts';
import { etaSeconds, type Pace } from './eta.ts';
import { Follower } from './follower.ts';
import { labelOf } from './naming.ts';
import { chooseParams, describeDifferences, preflight } from './preflight.ts';
import { proofOf } from './proof.ts';
import { type Identity, newLaunch, newRun, newSession } from './records.ts';
import { nextRestart } from './restart.ts';

/** A start waits this long for "started" or a failure, so that a typo is an error and not a failed run. */
const START_WAIT_MS = 20_000;
const PERSIST_MS = 2_000;
const DRAFT_MS = 60_000;
const MAX_NOTICES = 20;

export interface StartOptions {
  job: string;
  params: Params;
  environment: Record<string, string>;
  seed?: number;
  backend?: string;
  queue?: boolean;
  restarts?: number;
}

export interface ResumeOptions {
  run?: string;
  from?: string;
  set?: Params;
  current?: string[];
  environment: Record<string, string>;
  queue?: boolean;
  restarts?: number;
  backend?: string;
  accept: boolean;
}

interface Live {
  run: Run;
  follower: Follower;
  launch: Launch;
  pace: Pace | null;
  persistedAt: number;
  proven: boolean;
  forced: boolean;
  /** Settles at "started", or with the error of a session that ended before. */
  started: Deferred<void>;
  requests: { seq: number; done: Deferred<Checkpoint> }[];
}

interface Deferred<T> {
  promise: Promise<T>;
  resolve(value: T): void;
  reject(error: unknown): void;
}

interface Waiting {
  /** What to do once the device is free. */
  launch(): Promise<void>;
}

export class Runs {
  readonly #context: ProjectContext;
  readonly #live = new Map<string, Live>();
  readonly #queue = new Map<string, Waiting>();
  /** Values live here and in the trainer only; a restart needs them. */
  readonly #environments = new Map<string, Record<string, string>>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** Asked before a queued run starts, told after any run ends. */
  readonly #device: { isFree(): boolean; freed(): void };
  #disposed = false;

  constructor(context: ProjectContext, device: { isFree(): boolean; freed(): void }) {
    this.#context = context;
    this.#device = device;
  }

  liveRuns(): Run[] {
    return [...this.#live.values()].map(({ run }) => run);
  }

  get busy(): boolean {
    return this.#live.size > 0 || this.#queue.size > 0 || this.#timers.size > 0;
  }

  // ---- start, resume, fork ----

  async start(options: StartOptions): Promise<Run> {
    const config = readConfig(this.#context.place.root);
    const job = findJob(config, options.job);
    const identity = await this.#identity();
    const run = await this.#context.store.createRun(
      newRun({
        job: options.job,
        params: { ...(job.params as Params), ...options.params },
        overrides: Object.keys(options.params),
        seed: options.seed ?? job.seed ?? 0,
        backend: options.backend ?? job.backend ?? 'auto',
        identity,
        restarts: options.restarts ?? 0,
      }),
    );
    this.#environments.set(run.id, options.environment);
    if (options.queue && !this.#device.isFree()) return this.#enqueue(run, () => this.#launch(run, job, null).then(() => {}));
    return this.#launchOrUndo(run, null, () => this.#launch(run, job, null));
  }

  async preflight(options: Omit<ResumeOptions, 'accept'>) {
    const plan = await this.#plan(options);
    return { run: plan.run, checkpoint: plan.checkpoint, differences: plan.differences };
  }

  async resume(options: ResumeOptions): Promise<Run> {
    const plan = await this.#plan(options);
    const before = plan.run;
    if (LIVE_STATUSES.includes(before.status) && before.status !== 'queued') throw wrongStatus(before, RESUMABLE_STATUSES, 'resumed');
    this.#accept(plan.differences, options.accept);
    const run: Run = {
      ...before,
      status: 'starting',
      reason: '',
      params: plan.params,
      overrides: plan.overrides,
      backend: options.backend ?? before.backend,
      restart: { max: options.restarts ?? before.restart.max, used: 0 },
      draft: false,
      endedAt: null,
    };
    this.#environments.set(run.id, options.environment);
    const go = () => this.#launch(run, plan.job, plan.checkpoint, options.accept);
    if (options.queue && !this.#device.isFree()) return this.#enqueue(run, () => go().then(() => {}));
    this.#queue.delete(run.id);
    return this.#launchOrUndo(run, before, go);
  }

  async fork(options: ResumeOptions): Promise<Run> {
    const plan = await this.#plan(options);
    const { checkpoint } = plan;
    if (!checkpoint) throw new TrainstashError('notFound', `${plan.run.name} has no checkpoint to fork from.`, { what: 'checkpoint', query: options.from ?? 'last' });
    // The code is today's by intent: a fork is for trying something else.
    this.#accept(plan.differences.filter(({ kind }) => kind !== 'code' && kind !== 'param'), options.accept);
    const run = await this.#context.store.createRun({
      ...newRun({
        job: plan.run.job,
        params: plan.params,
        overrides: plan.overrides,
        seed: plan.run.seed,
        backend: options.backend ?? plan.run.backend,
        identity: await this.#identity(),
        restarts: options.restarts ?? 0,
      }),
      parent: { run: plan.run.id, checkpoint: checkpoint.id, step: checkpoint.step },
      step: checkpoint.step,
    });
    this.#environments.set(run.id, options.environment);
    const go = () => this.#launch(run, plan.job, checkpoint, options.accept);
    if (options.queue && !this.#device.isFree()) return this.#enqueue(run, () => go().then(() => {}));
    return this.#launchOrUndo(run, null, go);
  }

  // ---- requests to a live run ----

  async pause(query: string): Promise<Run> {
    const run = await this.#context.store.findRun(query);
    if (run.status === 'queued') return this.#unqueue(run, 'paused');
    const live = this.#requireLive(run, 'paused');
    this.#request(live, { pause: true });
    return this.#update(live, { status: 'pausing', reason: 'at the next step' });
  }

  async stop(query: string, force: boolean): Promise<Run> {
    const run = await this.#context.store.findRun(query);
    if (run.status === 'queued') return this.#unqueue(run, 'stopped');
    const live = this.#requireLive(run, 'stopped');
    if (force) {
      live.forced = true;
      signalRunner(live.follower.directory, 'SIGKILL');
      await live.follower.finished;
      return this.#context.store.findRun(run.id);
    }
    this.#request(live, { stop: true });
    return this.#update(live, { status: 'pausing', reason: 'stopping at the next step' });
  }

  async checkpoint(query: string): Promise<Checkpoint> {
    const run = await this.#context.store.findRun(query);
    const live = this.#requireLive(run, 'asked for a checkpoint');
    const done = deferred<Checkpoint>();
    live.requests.push({ seq: this.#request(live, { checkpoint: true }), done });
    return done.promise;
  }

  async rename(run: Run, names: { name: string; note: string }): Promise<Run> {
    const live = this.#live.get(run.id);
    if (live) return this.#update(live, names);
    const renamed = { ...run, ...names };
    await this.#put(renamed);
    return renamed;
  }

  // ---- adoption ----

  /** Takes over a session that runs, or ran, without this daemon. */
  async adopt(run: Run, session: Session, launch: Launch): Promise<void> {
    if (this.#live.has(run.id)) return;
    this.#follow(run, session, launch, new SessionDirectory(`${sessionsPath(this.#context)}/${session.id}`));
  }

  /** A queued run whose environment was in the memory of a daemon that is gone. */
  async waitForClient(run: Run): Promise<void> {
    await this.#put({ ...run, reason: 'waits for `trainstash resume` to supply its environment' });
  }

  keepPolicy(run: Run, launch: Pick<Launch, 'keep' | 'monitor'> | null): KeepPolicy {
    return { last: launch?.keep.last ?? 3, every: launch?.keep.every ?? null, monitor: run.monitor ?? launch?.monitor ?? null };
  }

  startNextQueued(): boolean {
    const next = [...this.#queue.entries()][0];
    if (!next || !this.#device.isFree()) return false;
    this.#queue.delete(next[0]);
    void next[1].launch().catch(async (error: Error) => {
      const run = await this.#context.store.run(next[0]);
      if (run) await this.#put({ ...run, status: 'failed', reason: error.message, endedAt: Date.now() });
      this.#device.freed();
    });
    return true;
  }

  dispose(): void {
    this.#disposed = true;
    for (const timer of this.#timers) clearTimeout(timer);
    for (const { follower, requests } of this.#live.values()) {
      follower.dispose();
      for (const { done } of requests) done.reject(new TrainstashError('daemonUnavailable', 'The daemon ended. The training goes on.', { reason: 'ended' }));
    }
    this.#live.clear();
  }

  /** Waits until nothing that was begun with the store is under way. */
  async settle(): Promise<void> {
    await Promise.all([...this.#live.values()].map(({ follower }) => follower.look()));
  }

  // ---- internals: planning ----

  async #plan(options: Omit<ResumeOptions, 'accept'>) {
    const { store, place } = this.#context;
    const run = options.run ? await store.findRun(options.run) : await this.#newestResumable();
    const checkpoints = await store.checkpoints(run.id);
    const checkpoint = options.from ? await store.findCheckpoint(options.from, run) : (checkpoints.at(-1) ?? (await this.#parentCheckpoint(run)));
    const config = readConfig(place.root);
    const job = jobOf(config, run);
    const params = chooseParams(run, job.params as Params, options.current ?? [], options.set ?? {});
    const now = await this.#identity();
    const facts = checkpoint ? await store.checkpointFacts(checkpoint.id) : null;
    const codeThen = facts?.run.code ?? run.code;
    const differences = preflight({
      run,
      code: {
        then: codeThen,
        now: now.code,
        changed: codeThen && now.code ? await changedFiles(place.store, codeThen, now.code) : [],
      },
      environment: { then: facts?.checkpoint.environment ?? {}, now: machineNow() },
      jobParams: job.params as Params,
      params,
    });
    const overrides = [...new Set([...run.overrides.filter((name) => !options.current?.includes(name)), ...Object.keys(options.set ?? {})])];
    return { run, checkpoint, job, params, overrides, differences };
  }

  async #parentCheckpoint(run: Run): Promise<Checkpoint | null> {
    return run.parent ? ((await this.#context.store.checkpoint(run.parent.checkpoint)) ?? null) : null;
  }

  async #newestResumable(): Promise<Run> {
    const { branch } = await readHead(this.#context.place.root);
    const candidates = (await this.#context.store.runsWithStatus(['paused', 'failed', 'lost'])).filter((run) => run.branch === branch && run.trashedAt === null);
    const newest = candidates.sort((a, b) => (b.endedAt ?? b.createdAt) - (a.endedAt ?? a.createdAt))[0];
    if (newest) return newest;
    throw new TrainstashError(
      'notFound',
      `No run of ${branch ?? 'this project'} is paused, failed or lost, so there is nothing to resume. \`trainstash ls\` shows all; a run can be named: \`trainstash resume 14\`.`,
      { what: 'run', query: '' },
    );
  }

  #accept(differences: PreflightDifference[], accepted: boolean): void {
    if (accepted || differences.length === 0) return;
    throw new TrainstashError(
      'preflightDiffers',
      `Not started, since something is not as it was at the checkpoint: ${describeDifferences(differences)}. Nothing was changed; --yes goes on all the same.`,
      { differences },
    );
  }

  async #identity(): Promise<Identity> {
    const { place } = this.#context;
    if (!place.git) return { branch: null, commit: null, dirty: false, code: null };
    const head = await readHead(place.root);
    const snapshot = await takeSnapshot(place.root, place.store).catch((error: Error) => {
      this.#context.log(`code not kept: ${error.message}`);
      return null;
    });
    return { ...head, dirty: snapshot?.dirty ?? false, code: snapshot?.tree ?? null };
  }

  // ---- internals: launching ----

  async #launch(run: Run, job: JobConfig, checkpoint: Checkpoint | null, accept = false): Promise<Live> {
    const { store, place, trainer } = this.#context;
    const session = newSession(run, 'train', checkpoint && { checkpoint: checkpoint.id, step: checkpoint.step });
    const facts = checkpoint ? await store.checkpointFacts(checkpoint.id) : null;
    const launch = newLaunch(run, session, job, place.root, {
      resume: checkpoint && {
        directory: 'restore',
        checkpoint: checkpoint.id,
        step: checkpoint.step,
        expected: { data: facts?.checkpoint.data?.fingerprint ?? null, backend: facts?.checkpoint.environment.backend ?? null },
        accept: accept ? ['data', 'backend'] : [],
      },
    });
    const directory = SessionDirectory.create(sessionsPath(this.#context), launch);
    try {
      if (checkpoint) await store.restoreCheckpoint(checkpoint.id, directory.file('restore'));
    } catch (error) {
      rmSync(directory.path, { recursive: true, force: true });
      throw error;
    }
    await store.putSession(session);
    const started: Run = {
      ...run, status: 'starting', session: session.id, sessions: session.ordinal, startedAt: run.startedAt ?? Date.now(),
      step: checkpoint?.step ?? 0, endedAt: null, etaSeconds: null,
    };
    await this.#put(started);
    const child = spawnTrainer(directory, trainer, place.root, this.#environments.get(run.id) ?? {});
    const live = this.#follow(started, session, launch, directory);
    child.once('exit', () => live.follower.childExited());
    return live;
  }

  /** Waits for "started"; a session that ends before because of bad input leaves nothing behind. */
  async #launchOrUndo(run: Run, before: Run | null, go: () => Promise<Live>): Promise<Run> {
    let live: Live;
    try {
      live = await go();
    } catch (error) {
      await this.#undo(run, before);
      throw error;
    }
    try {
      await withDeadline(live.started.promise, START_WAIT_MS);
    } catch (error) {
      if (!(error instanceof TrainstashError) || error.code === 'internal') return this.#context.store.findRun(run.id);
      await live.follower.finished;
      rmSync(live.follower.directory.path, { recursive: true, force: true });
      await this.#undo(run, before);
      throw error;
    }
    return this.#live.get(run.id)?.run ?? this.#context.store.findRun(run.id);
  }

  async #undo(run: Run, before: Run | null): Promise<void> {
    this.#environments.delete(run.id);
    if (before) await this.#put(before);
    else await this.#context.store.purgeRun(run.id);
  }

  async #enqueue(run: Run, launch: () => Promise<void>): Promise<Run> {
    const queued: Run = { ...run, status: 'queued', reason: 'waits for the device' };
    this.#queue.set(run.id, { launch });
    await this.#put(queued);
    return queued;
  }

  async #unqueue(run: Run, status: RunStatus): Promise<Run> {
    this.#queue.delete(run.id);
    const changed: Run = { ...run, status, reason: '', endedAt: Date.now(), draft: run.checkpoints === 0 };
    await this.#put(changed);
    return changed;
  }

  // ---- internals: following ----

  #follow(run: Run, session: Session, launch: Launch, directory: SessionDirectory): Live {
    const live: Live = {
      run, launch, pace: null, persistedAt: 0, proven: false, forced: false, started: deferred(), requests: [],
      follower: undefined as unknown as Follower,
    };
    // Nobody may be waiting for it.
    live.started.promise.catch(() => {});
    this.#live.set(run.id, live);
    live.follower = new Follower({
      store: this.#context.store,
      directory,
      session,
      run: () => live.run,
      keepInbox: false,
      handle: {
        events: (taken) => this.#onEvents(live, taken),
        saved: ({ checkpoint, over, pruned }) => this.#onSaved(live, checkpoint, over, pruned),
        saveFailed: (error) => this.#onSaveFailed(live, error),
        stalled: () => this.#notice(live, { code: 'stalled', level: 'warning', text: `No step for 4 minutes. \`trainstash log ${live.run.number}\` shows its output; \`trainstash stop --force\` ends it if it hangs.`, step: live.run.step, at: Date.now() }),
        ended: (exit) => this.#onEnded(live, exit),
      },
    });
    return live;
  }

  async #onEvents(live: Live, taken: TakenEvents): Promise<void> {
    const { started, last } = taken;
    let { run } = live;
    if (started) {
      live.pace = { startStep: started.step, startedAt: started.t };
      const previous = (await this.#context.store.runs({ drafts: false, trashed: false, before: run.number, limit: 50 })).runs.find(({ job }) => job === run.job);
      run = {
        ...run,
        status: run.status === 'starting' ? 'running' : run.status,
        step: started.step,
        epoch: started.epoch,
        totalSteps: started.totalSteps,
        stepsPerEpoch: started.stepsPerEpoch,
        monitor: started.monitor,
        params: started.params as Params,
        label: labelOf(started.params as Params, previous?.params),
        backend: started.environment.backend ?? run.backend,
        metrics: live.follower.session.resumedFrom ? await this.#context.store.summarizeMetrics(run.id) : run.metrics,
      };
      live.follower.session.environment = started.environment;
      await this.#context.store.putSession(live.follower.session);
      live.persistedAt = 0;
    }
    if (last) {
      run = { ...run, step: last.step, epoch: last.epoch, metrics: withValues(run, last.step, last.values) };
      if (live.pace) run = { ...run, etaSeconds: etaSeconds(live.pace, last.step, last.t, run.totalSteps) };
      this.#context.announce.metrics(run, last.step, last.values);
    }
    live.run = run;
    for (const { code, level, text, step, t } of taken.notices) await this.#notice(live, { code, level, text, step, at: t });
    if (taken.malformed > 0) await this.#notice(live, { code: 'eventMalformed', level: 'warning', text: `${taken.malformed} lines of its event file are no events and were skipped.`, step: run.step, at: Date.now() });
    if (taken.answered !== null) this.#answered(live, taken.answered);
    await this.#checkOverlap(live);
    const now = Date.now();
    if (now - live.persistedAt > PERSIST_MS) {
      live.persistedAt = now;
      await this.#put(live.run);
    } else {
      this.#context.announce.run(live.run);
    }
    if (started) live.started.resolve();
  }

  async #onSaved(live: Live, checkpoint: Checkpoint, over: boolean, pruned: Checkpoint[]): Promise<void> {
    const { store, announce } = this.#context;
    announce.checkpoint(checkpoint);
    const trashed = await store.applyRetention(live.run.id, this.keepPolicy(live.run, live.launch));
    for (const old of trashed) announce.checkpoint(old);
    if (over || pruned.length > 0) {
      await this.#notice(live, {
        code: 'quota', level: 'warning', step: checkpoint.step, at: Date.now(),
        text: `The store is at its quota: ${pruned.length} older automatic checkpoints were deleted${over ? ', and it is still above it' : ''}. \`trainstash where\` shows sizes; \`trainstash rm\` and \`gc --empty-trash\` make room.`,
      });
    }
    const checkpoints = (await store.checkpoints(live.run.id)).length;
    await this.#update(live, { checkpoints, lastCheckpoint: { id: checkpoint.id, step: checkpoint.step, grade: checkpoint.grade } });
    const waiting = checkpoint.reasons.includes('request') ? live.requests : [];
    live.requests = live.requests.filter((request) => !waiting.includes(request));
    for (const { done } of waiting) done.resolve(checkpoint);
  }

  async #onSaveFailed(live: Live, error: Error): Promise<void> {
    this.#context.log(`checkpoint of ${live.run.name} not taken in: ${error.message}`);
    const known = live.run.notices.at(-1);
    if (known?.code === 'saveFailed' && Date.now() - known.at < 60_000) return;
    await this.#notice(live, {
      code: 'saveFailed', level: 'error', step: live.run.step, at: Date.now(),
      text: `A checkpoint could not be stored (${error.message}). Its files are kept in ${live.follower.directory.file('taking')}; it is tried again while the run is followed.`,
    });
  }

  async #onEnded(live: Live, exit: ExitRecord | null): Promise<void> {
    if (this.#disposed) return;
    const { store } = this.#context;
    const { run, follower } = live;
    await store.putSession({ ...follower.session, endedAt: exit?.at ?? Date.now() });
    await this.#checkOverlap(live, true);
    const checkpoints = await store.checkpoints(run.id);
    const newest = checkpoints.at(-1);
    const endedAt = exit?.at ?? Date.now();
    const lived = endedAt - run.createdAt;
    const ending = endingOf(run, exit, live.forced, newest ?? null);
    const ended: Run = {
      ...live.run,
      ...ending,
      endedAt,
      etaSeconds: null,
      step: exit?.step ?? live.run.step,
      epoch: Math.max(live.run.epoch, newest?.epoch ?? 0),
      checkpoints: checkpoints.length,
      lastCheckpoint: newest ? { id: newest.id, step: newest.step, grade: newest.grade } : null,
      metrics: await store.summarizeMetrics(run.id),
      draft: checkpoints.length === 0 && lived < DRAFT_MS && ending.status !== 'completed',
    };
    this.#live.delete(run.id);
    rmSync(follower.directory.file('restore'), { recursive: true, force: true });
    await this.#put(ended);
    const wire = exit?.error ? exitErrorToWire(exit.error) : null;
    live.started.reject(wire ? fromWire(wire) : new TrainstashError('internal', ended.reason, {}));
    for (const { done } of live.requests) done.reject(new TrainstashError('wrongStatus', `${run.name} ended before the checkpoint: ${ended.reason || ended.status}.`, { run: run.id, status: ended.status, allowed: ['running'] }));
    this.#scheduleRestart(live, ended, exit);
    this.#device.freed();
  }

  #scheduleRestart(live: Live, ended: Run, exit: ExitRecord | null): void {
    if (live.forced || (ended.status !== 'failed' && ended.status !== 'lost')) return;
    const progressed = (ended.lastCheckpoint?.step ?? 0) > (live.follower.session.resumedFrom?.step ?? 0);
    const next = nextRestart(ended.restart, { kind: ended.status, code: exit?.error?.code ?? null, rebooted: isFromEarlierBoot(live.follower.directory), progressed });
    const environment = this.#environments.get(ended.id);
    if ('refused' in next) return;
    if (!environment) {
      void this.#put({ ...ended, reason: `${ended.reason}; restarts when \`trainstash resume\` supplies its environment` });
      return;
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void this.resume({ run: ended.id, environment, accept: true, restarts: ended.restart.max })
        .then((run) => this.#setRestart(run, next.policy))
        .catch((error: Error) => this.#context.log(`${ended.name} was not restarted: ${error.message}`));
    }, next.delayMs);
    this.#timers.add(timer);
  }

  async #setRestart(run: Run, restart: Run['restart']): Promise<void> {
    const live = this.#live.get(run.id);
    if (live) await this.#update(live, { restart: { ...restart } });
    else await this.#put({ ...(await this.#context.store.findRun(run.id)), restart: { ...restart } });
  }

  /** Compares steps done twice, once all that were recorded before have been done again, or the session is over. */
  async #checkOverlap(live: Live, over = false): Promise<void> {
    const { resumedFrom, id } = live.follower.session;
    if (live.proven || !resumedFrom || live.run.parent?.checkpoint === resumedFrom.checkpoint) return;
    const overlap = await this.#context.store.compareOverlap(id);
    if (!overlap) {
      live.proven = true;
      return;
    }
    if (live.run.step < overlap.recordedUpTo && !over) return;
    live.proven = true;
    if (overlap.steps === 0) return;
    const proof = proofOf(overlap, live.follower.session.environment);
    const checkpoint = await this.#context.store.setProof(overlap.checkpoint, proof);
    this.#context.announce.checkpoint(checkpoint);
    const { firstDifferent } = overlap;
    await this.#notice(live, {
      code: proof.verdict === 'equal' ? 'verified' : 'notReproduced',
      level: proof.verdict === 'equal' ? 'info' : 'warning',
      step: live.run.step,
      at: Date.now(),
      text: firstDifferent
        ? `Computed again after the resume, step ${firstDifferent.step} gave ${firstDifferent.metric} ${firstDifferent.replayed} instead of ${firstDifferent.recorded}. \`trainstash verify\` tells whether state is missing or the device is not deterministic.`
        : `${overlap.equal} steps computed twice gave the same bits.`,
    });
  }

  // ---- internals: small ----

  #request(live: Live, body: { checkpoint?: true; pause?: true; stop?: true }): number {
    const { directory } = live.follower;
    const seq = (directory.control()?.seq ?? 0) + 1;
    directory.writeControl({ seq, ...body });
    return seq;
  }

  #answered(live: Live, seq: number): void {
    // The checkpoint itself comes with the inbox; a request whose checkpoint failed has none.
    setTimeout(() => {
      const failed = live.requests.filter((request) => request.seq <= seq);
      live.requests = live.requests.filter((request) => request.seq > seq);
      for (const { done } of failed) done.reject(new TrainstashError('storeFull', 'The checkpoint could not be written; the training goes on and earlier checkpoints are untouched.', { neededBytes: 0, freeBytes: 0 }));
    }, 30_000).unref();
  }

  #requireLive(run: Run, verb: string): Live {
    const live = this.#live.get(run.id);
    if (live && live.run.status !== 'starting') return live;
    throw wrongStatus(live?.run ?? run, ['running'], verb);
  }

  async #update(live: Live, patch: Partial<Run>): Promise<Run> {
    live.run = { ...live.run, ...patch };
    await this.#put(live.run);
    return live.run;
  }

  async #notice(live: Live, notice: Notice): Promise<void> {
    live.run = { ...live.run, notices: [...live.run.notices, notice].slice(-MAX_NOTICES) };
    this.#context.announce.notice(live.run, notice);
    await this.#put(live.run);
  }

  async #put(run: Run): Promise<void> {
    await this.#context.store.putRun(run);
    this.#context.announce.run(run);
  }
}

function endingOf(run: Run, exit: ExitRecord | null, forced: boolean, newest: Checkpoint | null): Pick<Run, 'status' | 'reason'> {
  if (exit) return { status: exit.outcome, reason: exit.reason };
  const kept = newest ? `its newest checkpoint is of step ${newest.step}` : 'it had no checkpoint yet';
  if (forced) return { status: 'stopped', reason: `killed by request; ${kept}` };
  return { status: 'lost', reason: `its process ended at step ${run.step} without a word (killed, or out of memory?); ${kept}` };
}

function withValues(run: Run, step: number, values: Record<string, number>): Run['metrics'] {
  const metrics = { ...run.metrics };
  for (const [name, value] of Object.entries(values)) {
    const known = metrics[name];
    metrics[name] = {
      last: value,
      lastStep: step,
      min: known && !(value < known.min) ? known.min : value,
      minStep: known && !(value < known.min) ? known.minStep : step,
      max: known && !(value > known.max) ? known.max : value,
      maxStep: known && !(value > known.max) ? known.maxStep : step,
      count: (known?.count ?? 0) + 1,
    };
  }
  return metrics;
}

/** As the trainer reports it, so that the two can be compared. */
function machineNow(): Record<string, string> {
  return { node: process.version, platform: `${process.platform} ${process.arch}`, device: cpus()[0]?.model.trim() ?? 'cpu' };
}

function jobOf(config: Config, run: Run): JobConfig {
  return findJob(config, run.job);
}

function wrongStatus(run: Run, allowed: readonly string[], verb: string): TrainstashError {
  return new TrainstashError('wrongStatus', `${run.name} is ${run.status}, so it cannot be ${verb}.`, { run: run.id, status: run.status, allowed: [...allowed] });
}

function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (error: unknown) => void;
  const promise = new Promise<T>((yes, no) => {
    resolve = yes;
    reject = no;
  });
  return { promise, resolve, reject };
}

/** Resolves at the deadline too: starting may take long, and then goes on by itself. */
async function withDeadline(promise: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  try {
    await Promise.race([
      promise,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, ms);
      }),
    ]);
  } finally {
    clearTimeout(timer);
  }
}
