/**
 * The runs of one project: start, resume, fork, pause, stop, queue, restart. The truth is in session directories and
 * the store; what is in memory here can be lost at any moment.
 */
import { rmSync } from 'node:fs';
import { relative } from 'node:path';
import type { JobConfig } from '../../protocol/config.ts';
import {
  type Checkpoint,
  LIVE_STATUSES,
  type Params,
  RESUMABLE_STATUSES,
  type Run,
  type RunStatus,
  type Session,
} from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import type { Launch, TerminalInput } from '../../protocol/session.ts';
import type { SessionDirectory } from '../sessions/directory.ts';
import { isFromEarlierBoot } from '../sessions/watch.ts';
import { jobOfCommand, paramsOf, withParams } from './ad-hoc.ts';
import { rememberResumesItself } from './answers.ts';
import { maskSecrets, nameOfCommand } from './command.ts';
import { findJob, readConfig } from './config.ts';
import { type ProjectContext, sessionOf } from './context.ts';
import { withDeadline } from './deferred.ts';
import { identityOf } from './identity.ts';
import { type Ended, LiveRun } from './live.ts';
import { type Plan, type PlanOptions, planResume, requireAccepted, STARTS_ANEW } from './plan.ts';
import { prepareSession } from './prepare.ts';
import { newRun, newSession } from './records.ts';
import { cannotSave, pauseLoses, wrongStatus } from './refusals.ts';
import { nextRestart } from './restart.ts';

/** A start waits this long for "started" or a failure, so that a typo is an error and not a failed run. */
const START_WAIT_MS = 20_000;

export interface LaunchOptions {
  /** The worktree it is asked for in; absent: the one that the project was opened with. */
  root?: string;
  environment: Record<string, string>;
  /** The Python that a leading `python` means. */
  interpreter?: string;
  queue?: boolean;
  restarts?: number;
  backend?: string;
  backendSetting?: string;
  debugger?: readonly string[];
}

export interface StartOptions extends LaunchOptions {
  job: string;
  params: Params;
  seed?: number;
  /** Run this, without a job. */
  command?: readonly string[];
  cwd?: string;
}

export interface ResumeOptions extends LaunchOptions, Omit<PlanOptions, 'environment'> {
  accept: boolean;
}

/** Whether a queued run may start, and whom to tell when a run has ended. */
export interface Device {
  isFree(): boolean;
  freed(): void;
}

/** What stands between a run and the files of its branch. */
export interface Barrier {
  /** Throws `switchWaiting` when files of another branch are still in place and the run would use them. */
  before(root: string, usesFiles: boolean): Promise<void>;
  ended(root: string, run: Run): void;
  /** A run has written these files of the tree: paths relative to it, with `/`. */
  wrote(root: string, run: string, paths: readonly string[]): void;
}

/** What is launched, and what the run was before; null: there was none. */
interface Launching {
  run: Run;
  before: Run | null;
  job: JobConfig;
  checkpoint: Checkpoint | null;
  accept: boolean;
  root: string;
  debugger?: readonly string[];
}

export class Runs {
  readonly #context: ProjectContext;
  readonly #device: Device;
  readonly #live = new Map<string, LiveRun>();
  readonly #queue = new Map<string, Launching>();
  /** Being launched: a second request for the same run must not launch it twice. */
  readonly #launching = new Set<string>();
  /** Values live here and in the trainer only; a restart needs them. */
  readonly #environments = new Map<string, Pick<LaunchOptions, 'environment' | 'interpreter'>>();
  /** The words of runs without a job, as they were given: what is on disk may have masks in it. */
  readonly #commands = new Map<string, readonly string[]>();
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  readonly #wroteUntil = new Map<string, number>();
  #barrier: Barrier | null = null;
  #disposed = false;

  constructor(context: ProjectContext, device: Device) {
    this.#context = context;
    this.#device = device;
  }

  liveRuns(): Run[] {
    return [...this.#live.values()].map(({ run }) => run);
  }

  get busy(): boolean {
    return this.#live.size + this.#queue.size + this.#launching.size + this.#restartTimers.size > 0;
  }

  // ---- start, resume, fork ----

  async start({ job: name, params: given, seed, command, cwd, ...options }: StartOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const folder = cwd === undefined ? '' : relative(root, cwd);
    const job = command ? jobOfCommand(withParams(command, given), folder) : findJob(readConfig(root), name);
    const params = command ? paramsOf(maskSecrets(job.run as string[])) : { ...(job.params as Params), ...given };
    await this.#beforeLaunch(root, job);
    const run = await this.#context.store.createRun(
      newRun({
        job: command ? nameOfCommand(command) : name,
        kind: kindOf(job),
        command: command && { words: maskSecrets(job.run as string[]), cwd: folder },
        params,
        overrides: Object.keys(given),
        seed: seed ?? job.seed ?? 0,
        backend: options.backend ?? (job.module === undefined ? '' : (job.backend ?? options.backendSetting ?? 'auto')),
        identity: await identityOf(context),
        restarts: options.restarts ?? 0,
      }),
    );
    if (command) this.#commands.set(run.id, job.run as string[]);
    return this.#begin({ run, before: null, job, checkpoint: null, accept: false, root }, options);
  }

  async preflight({ root, ...options }: PlanOptions & { root?: string }) {
    const { run, checkpoint, differences } = await this.#plan(this.#at(root), options);
    return { run, checkpoint, differences };
  }

  async #plan(context: ProjectContext, options: PlanOptions): Promise<Plan> {
    const run = options.run === undefined ? null : await this.#context.store.findRun(options.run).catch(() => null);
    // A command that is given once more means what it says.
    const said = options.command ? { set: { ...paramsOf(maskSecrets(options.command)), ...options.set } } : {};
    return planResume(context, { command: run ? this.#commands.get(run.id) : undefined, ...given(options), ...said });
  }

  async resume({ accept, ...options }: ResumeOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const plan = await this.#plan(context, options);
    await this.#beforeLaunch(root, plan.job);
    // From here to `#begin` nothing may be awaited: of two requests for one run the second must find the first.
    const before = plan.run;
    const live = this.#launching.has(before.id) || this.#live.has(before.id) || LIVE_STATUSES.includes(before.status);
    if (live && !(before.status === 'queued' && !this.#launching.has(before.id)))
      throw wrongStatus(this.#live.get(before.id)?.run ?? before, RESUMABLE_STATUSES, 'resumed');
    requireAccepted(plan.differences, accept);
    if (plan.differences.includes(STARTS_ANEW)) rememberResumesItself(context.place.store, plan.run.job);
    if (plan.run.command) this.#commands.set(plan.run.id, plan.job.run as string[]);
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
    this.#queue.delete(run.id);
    return this.#begin({ run, before, job: plan.job, checkpoint: plan.checkpoint, accept, root }, options);
  }

  async fork({ accept, ...options }: ResumeOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const { run: parent, checkpoint, job, params, overrides, differences } = await this.#plan(context, options);
    if (!checkpoint) {
      const query = options.from ?? 'last';
      throw new TrainstashError('notFound', `${parent.name} has no checkpoint to fork from.`, {
        what: 'checkpoint',
        query,
      });
    }
    // Code and params are today's by intent: a fork is for trying something else.
    requireAccepted(
      differences.filter(({ kind }) => kind !== 'code' && kind !== 'param'),
      accept,
    );
    await this.#beforeLaunch(root, job);
    const run = await this.#context.store.createRun({
      ...newRun({
        job: parent.job,
        kind: kindOf(job),
        command: parent.command && { ...parent.command, words: maskSecrets(job.run as string[]) },
        params,
        overrides,
        seed: parent.seed,
        backend: options.backend ?? parent.backend,
        identity: await identityOf(context),
        restarts: options.restarts ?? 0,
      }),
      parent: { run: parent.id, checkpoint: checkpoint.id, step: checkpoint.step },
      step: checkpoint.step,
    });
    if (run.command) this.#commands.set(run.id, job.run as string[]);
    return this.#begin({ run, before: null, job, checkpoint, accept, root }, options);
  }

  /** Files of a branch are to be in place before a run that reads or writes them begins. */
  async #beforeLaunch(root: string, job: JobConfig): Promise<void> {
    await this.#barrier?.before(root, job.files.length > 0 || job.checkpoints.length > 0);
  }

  #at(root: string | undefined): ProjectContext {
    const { place } = this.#context;
    return root === undefined || root === place.root ? this.#context : { ...this.#context, place: { ...place, root } };
  }

  // ---- what switching branches needs ----

  /** Set once the worktrees are there: who is asked before a launch, and told after an end. */
  useBarrier(barrier: Barrier): void {
    this.#barrier = barrier;
  }

  liveAt(root: string): { run: Run; writesFiles: boolean }[] {
    return [...this.#live.values()]
      .filter((live) => live.launch.root === root)
      .map((live) => ({ run: live.run, writesFiles: live.writesFiles }));
  }

  /** When a run of that branch that writes by path last ended there. */
  wroteUntil(root: string, branch: string): number {
    return this.#wroteUntil.get(`${root}\0${branch}`) ?? 0;
  }

  /** A live run's branch is no longer the one in its worktree. */
  async codeMoved(id: string, to: string): Promise<void> {
    await this.#live.get(id)?.codeMoved(to);
  }

  /** As soon as it has paused, with the environment it had. */
  async resumeAgain(id: string, root: string): Promise<void> {
    await this.#live.get(id)?.follower.finished;
    const options = this.#environments.get(id);
    if (!options)
      throw new TrainstashError('notFound', 'Its environment is not known any more.', { what: 'run', query: id });
    await this.resume({ run: id, root, ...options, accept: true });
  }

  // ---- requests to a live run ----

  /** Throws `pauseLoses` for a script that cannot save when asked, unless that was accepted. */
  async pause(query: string, accept = false): Promise<Run> {
    const run = await this.#context.store.findRun(query);
    if (run.status === 'queued') return this.#unqueue(run, 'paused');
    const live = this.#requireLive(run, 'paused');
    if (!live.run.cooperative && !accept) throw pauseLoses(live.run, await this.#context.store.checkpoints(run.id));
    live.request({ pause: true });
    const reason = live.run.cooperative ? 'at the next step' : 'its script was asked to end';
    return live.update({ status: 'pausing', reason });
  }

  async input(query: string, input: TerminalInput): Promise<void> {
    const run = await this.#context.store.findRun(query);
    const live = this.#requireLive(run, 'typed to', true);
    if (live.launch.command) live.follower.directory.writeInput(input);
  }

  async stop(query: string, force: boolean): Promise<Run> {
    const run = await this.#context.store.findRun(query);
    if (run.status === 'queued') return this.#unqueue(run, 'stopped');
    const live = this.#requireLive(run, 'stopped', force);
    if (force) {
      await live.kill();
      return this.#context.store.findRun(run.id);
    }
    live.request({ stop: true });
    const reason = live.run.cooperative ? 'stopping at the next step' : 'its script was asked to end';
    return live.update({ status: 'pausing', reason });
  }

  async checkpoint(query: string): Promise<Checkpoint> {
    const run = await this.#context.store.findRun(query);
    const live = this.#requireLive(run, 'asked for a checkpoint');
    if (live.run.cooperative) return live.requestCheckpoint();
    throw cannotSave(live.run);
  }

  async rename(run: Run, names: { name: string; note: string }): Promise<Run> {
    const live = this.#live.get(run.id);
    if (live) return live.update(names);
    return this.#put({ ...run, ...names });
  }

  // ---- after a restart of the daemon ----

  /** Takes over a session that runs, or ran, without this daemon. */
  adopt(run: Run, session: Session, launch: Launch): void {
    if (this.#live.has(run.id)) return;
    this.#follow(run, session, launch, sessionOf(this.#context, session.id));
  }

  /** A queued run whose environment was in the memory of a daemon that is gone. */
  async waitForClient(run: Run): Promise<void> {
    await this.#put({ ...run, reason: 'waits for `trainstash resume` to supply its environment' });
  }

  // ---- queue ----

  startNextQueued(): boolean {
    const next = [...this.#queue.values()][0];
    if (!next || !this.#device.isFree()) return false;
    this.#queue.delete(next.run.id);
    this.#launch(next).catch(async (error: Error) => {
      await this.#put({ ...next.run, status: 'failed', reason: error.message, endedAt: Date.now() });
      this.#device.freed();
    });
    return true;
  }

  // ---- ending ----

  dispose(): void {
    this.#disposed = true;
    for (const timer of this.#restartTimers) clearTimeout(timer);
    for (const live of this.#live.values()) live.dispose();
    this.#live.clear();
  }

  /** Settles when every session has been looked at once more. */
  async settle(): Promise<void> {
    await Promise.all([...this.#live.values()].map(({ follower }) => follower.look()));
  }

  // ---- launching ----

  async #begin(what: Launching, { environment, interpreter, queue, debugger: own }: LaunchOptions): Promise<Run> {
    const launching: Launching = own ? { ...what, debugger: own } : what;
    const { run } = launching;
    this.#environments.set(run.id, { environment, interpreter });
    if (queue && !this.#device.isFree()) {
      this.#queue.set(run.id, launching);
      return this.#put({ ...run, status: 'queued', reason: 'waits for the device' });
    }
    this.#launching.add(run.id);
    try {
      return await this.#launchOrUndo(launching);
    } finally {
      this.#launching.delete(run.id);
    }
  }

  /** Waits for "started"; a session that ends before because of bad input leaves nothing behind. */
  async #launchOrUndo(launching: Launching): Promise<Run> {
    const { run, before } = launching;
    const undo = async () => {
      this.#environments.delete(run.id);
      if (before) await this.#put(before);
      else await this.#context.store.purgeRun(run.id);
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

  async #launch({ run, job, checkpoint, accept, root, ...rest }: Launching): Promise<LiveRun> {
    const { store } = this.#context;
    const session = newSession(run, 'train', checkpoint && { checkpoint: checkpoint.id, step: checkpoint.step });
    const prepared = await prepareSession(this.#context, {
      run,
      session,
      job,
      checkpoint,
      root,
      accept: accept ? ['data', 'backend', 'package'] : [],
      debugger: rest.debugger,
      ...(this.#environments.get(run.id) ?? { environment: {} }),
    });
    await store.putSession(session);
    const starting = await this.#put({
      ...run,
      status: 'starting',
      backendReason: prepared.backendReason,
      session: session.id,
      sessions: session.ordinal,
      startedAt: run.startedAt ?? Date.now(),
      step: checkpoint?.step ?? 0,
      endedAt: null,
      etaSeconds: null,
    });
    const child = prepared.start();
    const live = this.#follow(starting, session, prepared.launch, prepared.directory);
    live.follower.ownChild(child);
    if (prepared.putBack) await live.saidPutBack(prepared.putBack);
    return live;
  }

  #follow(run: Run, session: Session, launch: Launch, directory: SessionDirectory): LiveRun {
    const live = new LiveRun(this.#context, run, session, launch, directory, {
      ended: (ended) => this.#onEnded(ended),
      othersWriting: () => this.#othersWriting(run.id, launch.root),
      wrote: (paths) => this.#barrier?.wrote(launch.root, run.id, paths),
    });
    this.#live.set(run.id, live);
    return live;
  }

  /** Scripts in the same worktree that save wherever they like. */
  #othersWriting(id: string, root: string): string[] {
    return [...this.#live.values()]
      .filter(({ run, launch }) => run.id !== id && launch.root === root && launch.command && !run.cooperative)
      .map(({ run }) => run.name);
  }

  async #onEnded(ended: Ended): Promise<void> {
    if (this.#disposed) return;
    const wroteFiles = this.#live.get(ended.run.id)?.writesFiles ?? false;
    this.#live.delete(ended.run.id);
    await this.#put(ended.run);
    const launch = ended.directory.launch();
    const root = launch?.root ?? this.#context.place.root;
    if (wroteFiles) this.#wroteUntil.set(`${root}\0${ended.run.branch}`, Date.now());
    this.#barrier?.ended(root, ended.run);
    this.#scheduleRestart(ended);
    this.#device.freed();
  }

  #scheduleRestart({ run, exit, directory, session, forced }: Ended): void {
    if (forced || (run.status !== 'failed' && run.status !== 'lost')) return;
    const next = nextRestart(run.restart, {
      kind: run.status,
      code: exit?.error?.code ?? null,
      rebooted: isFromEarlierBoot(directory),
      progressed: (run.lastCheckpoint?.step ?? 0) > (session.resumedFrom?.step ?? 0),
    });
    if ('refused' in next) return;
    const options = this.#environments.get(run.id);
    if (!options) {
      const reason = `${run.reason}; restarts when \`trainstash resume\` supplies its environment`;
      void this.#put({ ...run, reason });
      return;
    }
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.resume({ run: run.id, root: directory.launch()?.root, ...options, accept: true })
        .then((resumed) => this.#live.get(resumed.id)?.update({ restart: { ...next.policy } }))
        .catch((error: Error) => this.#context.log(`${run.name} was not restarted: ${error.message}`));
    }, next.delayMs);
    this.#restartTimers.add(timer);
  }

  // ---- small ----

  async #unqueue(run: Run, status: RunStatus): Promise<Run> {
    this.#queue.delete(run.id);
    return this.#put({ ...run, status, reason: '', endedAt: Date.now(), draft: run.checkpoints === 0 });
  }

  /** `whileStarting`: also before it has done a step. */
  #requireLive(run: Run, verb: string, whileStarting = false): LiveRun {
    const live = this.#live.get(run.id);
    if (live && (whileStarting || live.run.status !== 'starting')) return live;
    throw wrongStatus(live?.run ?? run, ['running'], verb);
  }

  async #put(run: Run): Promise<Run> {
    await this.#context.store.putRun(run);
    this.#context.announce.run(run);
    return run;
  }
}

function kindOf(job: JobConfig): Run['kind'] {
  return job.module === undefined ? 'command' : 'module';
}

/** What is given, without what is not: an absent option must not hide the one that is known. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
