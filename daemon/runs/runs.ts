/**
 * Runs of one project: start, resume, fork, pause, stop, queue, restart. The truth is in session directories and the
 * store; the state in memory can be lost at any moment.
 */
import type { JobConfig } from '../../protocol/config.ts';
import type { Params, Run, Session } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { maskParams, maskText, maskWords } from '../../protocol/secrets.ts';
import type { Launch } from '../../protocol/session.ts';
import { LIVE_STATUSES, RESUMABLE_STATUSES } from '../../protocol/status.ts';
import { leftToPerson } from '../../protocol/sweep.ts';
import type { RunChange, RunFields } from '../store/catalog/run-change.ts';
import { resolveConditions } from './conditions.ts';
import type { ProjectContext } from './context.ts';
import { controlOf, deviceTaken, given, mustQueue, requireBelowLimit } from './control.ts';
import { destinationOf } from './engines/destination.ts';
import { EngineRuns } from './engines/engine-runs.ts';
import { runInTrash, wrongStatus } from './errors.ts';
import { Interruptions } from './interruptions.ts';
import { paramsOf } from './launch/ad-hoc.ts';
import { rememberResumesItself } from './launch/consents.ts';
import type { Restarts } from './launch/crashed.ts';
import type { Environment } from './launch/environments.ts';
import { measure } from './launch/identity.ts';
import { Launcher } from './launch/launcher.ts';
import type { Barrier, Device, Launching, LaunchOptions, OnEnded } from './launch/launching.ts';
import { requireAtOnce } from './launch/original-code.ts';
import { type Plan, type PlanOptions, planResume, requireAccepted, STARTS_ANEW } from './launch/plan.ts';
import { describeDifferences } from './launch/preflight.ts';
import { type QueueConditions, QueuedRuns } from './launch/queued.ts';
import { rebuildEnvironment, type Watcher } from './launch/rebuilt.ts';
import { Trials } from './launch/trials.ts';
import { LiveRequests } from './live/live-requests.ts';
import { Moves } from './moving/moves.ts';
import { startedAfterMove } from './moving/started.ts';
import { kindOf, newRun } from './records.ts';
import { Rollbacks } from './rollbacks.ts';
import { jobOf, newLaunching, type StartOptions } from './start.ts';

export interface ResumeOptions extends LaunchOptions, Omit<PlanOptions, 'environment'> {
  accept: boolean;
  /** True for a restart after a crash: what a person's resume begins anew goes on. */
  byItself?: true;
}

export class Runs {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #barrier: Barrier;
  /** Words of runs without a job, as they were given: the words on disk may have masks. */
  readonly #commands = new Map<string, readonly string[]>();
  readonly #device: Device;
  readonly #rollbacks: Rollbacks;
  readonly engines: EngineRuns;
  readonly queued: QueuedRuns;
  readonly interruptions: Interruptions;
  readonly moves: Moves;
  readonly requests: LiveRequests;
  readonly trials: Trials;

  constructor(context: ProjectContext, device: Device, barrier: Barrier, ownEnvironment: Environment, ended: OnEnded) {
    this.#context = context;
    this.#device = device;
    this.#barrier = barrier;
    const restarts: Restarts = {
      plan: (run, launch, environment) => this.queued.planRestart(run, launch, environment),
      start: (run, options) => this.#restart({ run, ...options, accept: true, byItself: true }),
      drop: (run) => this.queued.remove(run),
      goesOn: async (ended) =>
        (await this.engines.after(ended)) ?? this.queued.asInterrupted(ended.run) ?? this.#rollbacks.after(ended),
    };
    this.#launcher = new Launcher(context, device, barrier, restarts, ended);
    this.engines = new EngineRuns(context, this.#launcher, () => this.queued);
    const wordsOf = (run: string) => this.#commands.get(run);
    this.queued = new QueuedRuns({ context, launcher: this.#launcher, barrier, wordsOf, ownEnvironment });
    this.#rollbacks = new Rollbacks(context, this.#launcher, this.queued);
    this.interruptions = new Interruptions(this.#launcher, this.queued, context.log);
    this.moves = new Moves({ context, launcher: this.#launcher, ownEnvironment, changed: () => device.changed() });
    this.requests = new LiveRequests(context, this.#launcher, this.queued, device, this.engines, this.moves);
    this.trials = new Trials(context, this.#launcher, this.queued, device, (...sent) => this.engines.submit(...sent));
  }

  liveRuns(): Run[] {
    return this.#launcher.live.map(({ run }) => run);
  }

  get busy(): boolean {
    return this.#launcher.busy || this.queued.size > 0 || this.engines.busy;
  }

  /** True if this project trains, or is about to. */
  get takesDevice(): boolean {
    return this.#launcher.claims.length > 0;
  }

  /** Runs that hold devices. */
  get claims(): Run[] {
    return this.#launcher.claims;
  }

  /** Processes of live sessions: the programs that they start are theirs. */
  get processes(): number[] {
    return this.#launcher.live.flatMap(({ follower }) => {
      const record = follower.directory.process();
      return record ? [record.pid, ...(record.child ? [record.child.pid] : [])] : [];
    });
  }

  /** Returns the environment that a run was launched with; undefined: the daemon that knew it is gone. */
  environmentOf(run: string): Environment | undefined {
    return this.#launcher.environmentOf(run);
  }

  /** Changes a run's record, also while it is live. */
  change(id: string, change: RunChange): Promise<Run> {
    return this.#launcher.change(id, change);
  }

  /** Changes the record of a run that is not live if it still has the values that were read; null: it has gone on since. */
  changeIf(id: string, when: RunFields, change: RunChange): Promise<Run | null> {
    return this.#launcher.changeIf(id, when, change);
  }

  // ---- start, resume, fork ----

  async start(options: StartOptions): Promise<Run> {
    return (await this.startAll(options, [options.params]))[0]!;
  }

  /** Starts one run for each set of params: on an engine as one array. */
  async startAll(options: StartOptions, sets: readonly Params[]): Promise<Run[]> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const jobs = sets.map((params) => jobOf({ ...options, params }, root));
    await this.#beforeLaunch(root, jobs[0]!);
    const control = controlOf(options, jobs[0]!);
    const engine = destinationOf(options, jobs[0]!.engine);
    const conditions = await this.#conditions(engine, options, control.gpu);
    const measured = await measure(context);
    const launchings: Launching[] = [];
    for (const [i, params] of sets.entries()) {
      const more = { job: jobs[i]!, root, measured, control };
      const launching = await newLaunching(this.#context, { ...options, params }, more);
      if (options.command) this.#commands.set(launching.run.id, jobs[i]!.run as string[]);
      launchings.push(launching);
    }
    if (engine !== null) return this.engines.submit(launchings as [Launching], engine, options.nodes, options);
    const runs: Run[] = [];
    for (const launching of launchings)
      runs.push(await this.#begin(launching, sets.length > 1 ? { ...options, queue: true } : options, conditions));
    return runs;
  }

  async #conditions(engine: string | null, options: LaunchOptions, gpu: Run['gpu']): Promise<QueueConditions> {
    return engine === null ? resolveConditions(this.#context.store, this.#device, options, gpu) : {};
  }

  async preflight({ root, ...options }: PlanOptions & { root?: string }) {
    const { run, checkpoint, differences } = await this.#plan(this.#at(root), options);
    return { run, checkpoint, differences };
  }

  async #plan(context: ProjectContext, options: PlanOptions): Promise<Plan> {
    const run = options.run === undefined ? null : await this.#context.store.findRun(options.run).catch(() => null);
    if (run && run.trashedAt !== null) throw runInTrash(run);
    // A command that is given again applies as given.
    const overrides = options.command ? { set: { ...paramsOf(maskWords(options.command)), ...options.set } } : {};
    return planResume(context, {
      command: run ? this.#commands.get(run.id) : undefined,
      ...given(options),
      ...overrides,
    });
  }

  /** Makes the environment of a run's original code. */
  async rebuildEnvironment(options: PlanOptions & Environment & { root: string }, watcher: Watcher) {
    const context = this.#at(options.root);
    const plan = await this.#plan(context, { ...options, code: 'then' });
    const live = this.#launcher.find(plan.run.id);
    if (live) throw wrongStatus(live.run, RESUMABLE_STATUSES, 'resumed');
    return rebuildEnvironment(context, plan, options, watcher);
  }

  async resume({ accept, byItself, ...options }: ResumeOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const plan = await this.#plan(context, options);
    await this.#beforeLaunch(root, plan.job);
    const control = controlOf(options, plan.job, plan.run);
    const engine = destinationOf(options, plan.job.engine);
    const conditions = await this.#conditions(engine, options, control.gpu);
    // From here to `#begin` nothing may be awaited: of two requests for one run the second must find the first.
    const before = plan.run;
    this.engines.requireNotAway(before);
    const launching = this.#launcher.isLaunching(before.id);
    const live = this.#launcher.find(before.id);
    if (launching || live || (LIVE_STATUSES.includes(before.status) && before.status !== 'queued'))
      throw wrongStatus(live?.run ?? before, RESUMABLE_STATUSES, 'resumed');
    if (plan.original && (options.queue || mustQueue(options))) requireAtOnce(before);
    requireAccepted(plan.differences, accept);
    if (conditions.after != null) this.queued.requireNoCircle(before.id, conditions.after);
    if (plan.differences.includes(STARTS_ANEW)) rememberResumesItself(context.place.store, plan.run.job);
    if (plan.run.command) this.#commands.set(plan.run.id, plan.job.run as string[]);
    const set: RunFields = {
      status: 'starting',
      reason: '',
      params: maskParams(plan.params),
      overrides: plan.overrides,
      backend: options.backend ?? before.backend,
      restart: byItself ? before.restart : { max: options.restarts ?? before.restart.max, used: 0 },
      ...(before.rolledBack && !byItself ? { rolledBack: 0 } : {}),
      ...(before.sweep && !byItself ? { sweep: leftToPerson(before.sweep) } : {}),
      draft: false,
      endedAt: null,
      engine: null,
      ...control,
    };
    const run: Run = { ...before, ...set };
    requireBelowLimit(run, plan.checkpoint?.step ?? 0);
    context.secrets.remember(run.id, plan.params);
    const { job, checkpoint, startsAnew, passedOver, measured, original } = plan;
    const launch = { run, before, set, job, checkpoint, startsAnew, passedOver, accept, root, measured, original };
    return this.#beginOn(engine, launch, { ...options, queue: options.queue ?? false }, conditions);
  }

  /** Resumes a run that has crashed. Where its devices are in use, by what its own process left behind for instance, it waits. */
  #restart(options: ResumeOptions): Promise<Run> {
    return this.resume(options).catch((error) => {
      if (!(error instanceof TrainstashError && error.code === 'deviceTaken')) throw error;
      return this.resume({ ...options, queue: true });
    });
  }

  async #beginOn(engine: string | null, launching: Launching, options: LaunchOptions, conditions: QueueConditions) {
    if (engine === null) return this.#begin(launching, options, conditions);
    return (await this.engines.submit([launching], engine, options.nodes, options))[0]!;
  }

  async fork({ accept, ...options }: ResumeOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const plan = await this.#plan(context, options);
    const { run: parent, checkpoint, job, params, overrides, differences } = plan;
    if (!checkpoint) {
      const query = options.from ?? 'last';
      throw new TrainstashError('notFound', `${parent.name} has no checkpoint to fork from.`, {
        what: 'checkpoint',
        query,
      });
    }
    // Code and params are today's on purpose: a fork is for trying something else.
    requireAccepted(
      differences.filter(({ kind }) => kind !== 'code' && kind !== 'param'),
      accept,
    );
    await this.#beforeLaunch(root, job);
    const control = controlOf(options, job, parent);
    const engine = destinationOf(options, job.engine);
    const conditions = await this.#conditions(engine, options, control.gpu);
    const run = await this.#context.store.createRun({
      ...newRun({
        job: parent.job,
        kind: kindOf(job),
        command: parent.command && { ...parent.command, words: maskWords(job.run as string[]) },
        params: maskParams(params),
        overrides,
        seed: parent.seed,
        backend: options.backend ?? parent.backend,
        identity: plan.measured.identity,
        restarts: options.restarts ?? 0,
      }),
      parent: { run: parent.id, checkpoint: checkpoint.id, step: checkpoint.step },
      step: checkpoint.step,
      ...control,
    });
    if (run.command) this.#commands.set(run.id, job.run as string[]);
    context.secrets.remember(run.id, context.secrets.of(parent.id));
    context.secrets.remember(run.id, params);
    const { startsAnew, passedOver, measured } = plan;
    const launching = { run, before: null, set: {}, job, checkpoint, startsAnew, passedOver, accept, root, measured };
    return this.#beginOn(engine, launching, options, conditions);
  }

  async #begin(launching: Launching, options: LaunchOptions, conditions: QueueConditions): Promise<Run> {
    const { run } = launching;
    const { queue, debugger: own, environment, interpreter } = options;
    const grant = this.#device.admit(run.gpu, environment, run.id);
    if (mustQueue(options) || (queue && !(grant.granted && this.queued.size === 0))) {
      const queued = await this.queued.add(launching, { environment, interpreter }, conditions);
      if (conditions.movable?.length) {
        const parts = { context: this.#context, device: this.#device, launcher: this.#launcher, queued: this.queued };
        return startedAfterMove(parts, queued, launching.before, options);
      }
      void this.#device.changed();
      return queued;
    }
    if (!grant.granted && run.gpu !== undefined) {
      if (!launching.before) await this.#context.store.purgeRun(run.id);
      throw deviceTaken(grant, run.gpu);
    }
    const devices = grant.granted ? grant.devices && [...grant.devices] : null;
    this.#launcher.remember(run.id, { environment, interpreter });
    const begun = await this.#launcher.begin({
      ...launching,
      run: { ...run, devices },
      set: { ...launching.set, devices },
      ...(own ? { debugger: own } : {}),
    });
    // A run that could not be started keeps its place.
    this.queued.remove(run.id);
    return begun;
  }

  /** Puts the files of the branch in place before a run that reads or writes them begins. */
  async #beforeLaunch(root: string, job: JobConfig): Promise<void> {
    await this.#barrier.before(root, job.files.length > 0 || job.checkpoints.length > 0);
  }

  #at(root: string | undefined): ProjectContext {
    const { place } = this.#context;
    return root === undefined || root === place.root ? this.#context : { ...this.#context, place: { ...place, root } };
  }

  // ---- what switching branches needs ----

  liveAt(root: string): { run: Run; writesFiles: boolean }[] {
    // With the branch that was there at its launch, which need not be that of the run's first session.
    return this.#launcher.live
      .filter((live) => live.launch.root === root)
      .map((live) => ({ run: live.atLaunch, writesFiles: live.writesFiles }));
  }

  wroteUntil(root: string, branchId: string): number {
    return this.#launcher.wroteUntil(root, branchId);
  }

  /** Gives renamed branches their new names, by their ids. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    this.#launcher.branchesRenamed(names);
    this.queued.branchesRenamed(names);
  }

  /** Warns a live run that HEAD has left its branch in its worktree. */
  async codeMoved(id: string, to: string): Promise<void> {
    await this.#launcher.find(id)?.codeMoved(to);
  }

  /** Resumes a run as soon as it has paused, with the environment it had; if something differs, only offers it. */
  async resumeAgain(id: string, root: string): Promise<void> {
    await this.#launcher.find(id)?.follower.finished;
    const options = this.#launcher.environmentOf(id);
    if (!options) return this.#offer(id, 'its environment is no longer known');
    try {
      await this.resume({ run: id, root, ...options, accept: false });
    } catch (error) {
      if (!isError(error, 'preflightDiffers')) throw error;
      await this.#offer(id, describeDifferences(error.data.differences));
    }
  }

  async #offer(id: string, why: string): Promise<void> {
    const run = await this.#context.store.findRun(id);
    const text = `It was paused when HEAD left its branch, and was not resumed automatically: ${why}. \`trainstash resume ${run.number}\` resumes it.`;
    const notice = { code: 'canResume', level: 'warning' as const, text, step: run.step, at: Date.now() };
    this.#context.announce.notice(await this.change(run.id, { addNotices: [notice] }), notice);
  }

  async rename(run: Run, given: { name: string; note: string }): Promise<Run> {
    return this.change(run.id, { set: { name: maskText(given.name), note: maskText(given.note) } });
  }

  // ---- after a restart of the daemon ----

  adopt(run: Run, session: Session, launch: Launch): void {
    this.#launcher.adopt(run, session, launch);
  }

  /** Reports a changed tree of a worktree: runs that wait for their code may start. */
  headMoved(): void {
    if (this.queued.size > 0) void this.#device.changed();
  }

  /** Takes over a session that has ended already, and waits until all of it is in the store. */
  async adoptEnded(run: Run, session: Session, launch: Launch): Promise<void> {
    this.#launcher.adopt(run, session, launch);
    await this.#launcher.find(run.id)?.follower.finished;
  }

  // ---- ending ----

  dispose(): void {
    this.engines.dispose();
    this.#launcher.dispose();
  }

  /** Settles when every session has been looked at once more. */
  async settle(): Promise<void> {
    await Promise.all(this.#launcher.live.map(({ follower }) => follower.look()));
  }
}
