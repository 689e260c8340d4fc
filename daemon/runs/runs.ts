/**
 * Runs of one project: start, resume, fork, pause, stop, queue, restart. The truth is in session directories and the
 * store; the state in memory can be lost at any moment.
 */
import { relative } from 'node:path';
import type { JobConfig } from '../../protocol/config.ts';
import type { GpuDemand } from '../../protocol/devices.ts';
import { LIVE_STATUSES, type Params, RESUMABLE_STATUSES, type Run, type Session } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import { maskParams, maskText, maskWords } from '../../protocol/secrets.ts';
import type { Launch } from '../../protocol/session.ts';
import { findJob, readConfig } from './config.ts';
import type { ProjectContext } from './context.ts';
import { conditionsOf, controlOf, deviceTaken, interruptLoses, mustQueue, requireBelowLimit } from './control.ts';
import { runInTrash, wrongStatus } from './errors.ts';
import { Interruptions } from './interruptions.ts';
import { jobOfCommand, paramsOf, withParams } from './launch/ad-hoc.ts';
import { nameOfCommand } from './launch/command.ts';
import { rememberResumesItself } from './launch/consents.ts';
import type { Environment } from './launch/environments.ts';
import { measure } from './launch/identity.ts';
import {
  type Barrier,
  type Device,
  Launcher,
  type Launching,
  type LaunchOptions,
  type OnEnded,
  type Restarts,
} from './launch/launcher.ts';
import { requireAtOnce } from './launch/original-code.ts';
import { type Plan, type PlanOptions, planResume, requireAccepted, STARTS_ANEW } from './launch/plan.ts';
import { describeDifferences } from './launch/preflight.ts';
import { type QueueConditions, QueuedRuns } from './launch/queued.ts';
import { LiveRequests } from './live/live-requests.ts';
import { newRun } from './records.ts';
import { Rollbacks } from './rollbacks.ts';

export interface StartOptions extends LaunchOptions {
  job: string;
  params: Params;
  seed?: number;
  /** Command to run, without a job. */
  command?: readonly string[];
  cwd?: string;
}

export interface ResumeOptions extends LaunchOptions, Omit<PlanOptions, 'environment'> {
  accept: boolean;
}

export class Runs {
  readonly #context: ProjectContext;
  readonly #launcher: Launcher;
  readonly #barrier: Barrier;
  /** Words of runs without a job, as they were given: the words on disk may have masks. */
  readonly #commands = new Map<string, readonly string[]>();

  readonly #device: Device;
  readonly #rollbacks: Rollbacks;
  readonly queued: QueuedRuns;
  readonly interruptions: Interruptions;
  readonly requests: LiveRequests;

  constructor(context: ProjectContext, device: Device, barrier: Barrier, ownEnvironment: Environment, ended: OnEnded) {
    this.#context = context;
    this.#device = device;
    this.#barrier = barrier;
    const restarts: Restarts = {
      plan: (run, launch, environment) => this.queued.planRestart(run, launch, environment),
      start: (run, options) => this.resume({ run, ...options, accept: true }),
      drop: (run) => this.queued.remove(run),
      goesOn: async (ended) => this.queued.asInterrupted(ended.run) ?? this.#rollbacks.after(ended),
    };
    this.#launcher = new Launcher(context, device, barrier, restarts, ended);
    const wordsOf = (run: string) => this.#commands.get(run);
    this.queued = new QueuedRuns({ context, launcher: this.#launcher, barrier, wordsOf, ownEnvironment });
    this.#rollbacks = new Rollbacks(context, this.#launcher, this.queued);
    this.interruptions = new Interruptions(this.#launcher, this.queued, context.log);
    this.requests = new LiveRequests(context, this.#launcher, this.queued, device);
  }

  liveRuns(): Run[] {
    return this.#launcher.live.map(({ run }) => run);
  }

  get busy(): boolean {
    return this.#launcher.busy || this.queued.size > 0;
  }

  /** True if this project trains, or is about to. */
  get takesDevice(): boolean {
    return this.#launcher.busy;
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

  /** Replaces the record of a run that is not live. */
  put(run: Run): Promise<Run> {
    return this.#launcher.put(run);
  }

  // ---- start, resume, fork ----

  async start({ job: name, params: withoutUndefined, seed, command, cwd, ...options }: StartOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const folder = cwd === undefined ? '' : relative(root, cwd);
    const job = command ? jobOfCommand(withParams(command, withoutUndefined), folder) : findJob(readConfig(root), name);
    const params = command
      ? paramsOf(maskWords(job.run as string[]))
      : { ...(job.params as Params), ...withoutUndefined };
    await this.#beforeLaunch(root, job);
    const control = controlOf(options, job);
    const conditions = await this.#conditions(options, control.gpu);
    const measured = await measure(context);
    const run = await this.#context.store.createRun({
      ...newRun({
        job: command ? nameOfCommand(command) : name,
        kind: kindOf(job),
        command: command && { words: maskWords(job.run as string[]), cwd: folder },
        params: maskParams(params),
        overrides: Object.keys(withoutUndefined),
        seed: seed ?? job.seed ?? 0,
        backend: options.backend ?? (job.module === undefined ? '' : (job.backend ?? options.backendSetting ?? 'auto')),
        identity: measured.identity,
        restarts: options.restarts ?? 0,
      }),
      ...control,
    });
    if (command) this.#commands.set(run.id, job.run as string[]);
    context.secrets.remember(run.id, params);
    const launching = { run, before: null, job, ...FROM_THE_BEGINNING, accept: false, root, measured };
    return this.#begin(launching, options, conditions);
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

  async resume({ accept, ...options }: ResumeOptions): Promise<Run> {
    const context = this.#at(options.root);
    const { root } = context.place;
    const plan = await this.#plan(context, options);
    await this.#beforeLaunch(root, plan.job);
    const control = controlOf(options, plan.job, plan.run);
    const conditions = await this.#conditions(options, control.gpu);
    // From here to `#begin` nothing may be awaited: of two requests for one run the second must find the first.
    const before = plan.run;
    const launching = this.#launcher.isLaunching(before.id);
    const live = this.#launcher.find(before.id);
    if (launching || live || (LIVE_STATUSES.includes(before.status) && before.status !== 'queued'))
      throw wrongStatus(live?.run ?? before, RESUMABLE_STATUSES, 'resumed');
    if (plan.original && (options.queue || mustQueue(options))) requireAtOnce(before);
    requireAccepted(plan.differences, accept);
    if (conditions.after != null) this.queued.requireNoCircle(before.id, conditions.after);
    if (plan.differences.includes(STARTS_ANEW)) rememberResumesItself(context.place.store, plan.run.job);
    if (plan.run.command) this.#commands.set(plan.run.id, plan.job.run as string[]);
    const run: Run = {
      ...before,
      status: 'starting',
      reason: '',
      params: maskParams(plan.params),
      overrides: plan.overrides,
      backend: options.backend ?? before.backend,
      restart: { max: options.restarts ?? before.restart.max, used: 0 },
      ...(before.rolledBack ? { rolledBack: 0 } : {}),
      draft: false,
      endedAt: null,
      ...control,
    };
    requireBelowLimit(run, plan.checkpoint?.step ?? 0);
    context.secrets.remember(run.id, plan.params);
    const { job, checkpoint, startsAnew, passedOver, measured, original } = plan;
    const launch = { run, before, job, checkpoint, startsAnew, passedOver, accept, root, measured, original };
    return this.#begin(launch, { ...options, queue: options.queue ?? false }, conditions);
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
    const conditions = await this.#conditions(options, control.gpu);
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
    const launching = { run, before: null, job, checkpoint, startsAnew, passedOver, accept, root, measured };
    return this.#begin(launching, options, conditions);
  }

  /**
   * Resolves the options about the queue, and brings the list of GPUs up to date. Rejects with `notFound`, `interruptLoses` and
   * `deviceTaken`; then nothing has changed.
   */
  async #conditions(options: LaunchOptions, gpu: GpuDemand | undefined): Promise<QueueConditions> {
    const after = options.after === undefined ? null : (await this.#context.store.findRun(options.after)).id;
    await this.#device.look();
    const grant = this.#device.admit(gpu, options.environment, '');
    if (!grant.granted && grant.never) throw deviceTaken(grant, gpu);
    if (options.urgent !== 'interrupt' || grant.granted) return conditionsOf(options, after);
    const accepted = new Set(options.accepted);
    const losing = this.#device
      .interruptionsFor(gpu, options.environment)
      .filter(({ id, cooperative }) => !cooperative && !accepted.has(id));
    if (losing.length > 0) throw interruptLoses(losing);
    return conditionsOf(options, after);
  }

  async #begin(launching: Launching, options: LaunchOptions, conditions: QueueConditions): Promise<Run> {
    const { run } = launching;
    const { queue, debugger: own, environment, interpreter } = options;
    const grant = this.#device.admit(run.gpu, environment, run.id);
    if (mustQueue(options) || (queue && !(grant.granted && this.queued.size === 0))) {
      const queued = await this.queued.add(launching, { environment, interpreter }, conditions);
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
    await this.#launcher.put({ ...run, notices: [...run.notices, notice] });
    this.#context.announce.notice(run, notice);
  }

  async rename(run: Run, given: { name: string; note: string }): Promise<Run> {
    return this.amend(run, { name: maskText(given.name), note: maskText(given.note) });
  }

  /** Changes a run's record, also while it is live. */
  async amend(run: Run, patch: Partial<Run>): Promise<Run> {
    // It may have been queued or begun since the caller has read it.
    const known = await this.#context.store.requireRun(run.id);
    const live = this.#launcher.find(run.id);
    return live ? live.update(patch) : this.#launcher.put({ ...known, ...patch });
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
    this.#launcher.dispose();
  }

  /** Settles when every session has been looked at once more. */
  async settle(): Promise<void> {
    await Promise.all(this.#launcher.live.map(({ follower }) => follower.look()));
  }
}

function kindOf(job: JobConfig): Run['kind'] {
  return job.module === undefined ? 'command' : 'module';
}

const FROM_THE_BEGINNING = { checkpoint: null, startsAnew: false, passedOver: [] };

/** Drops undefined options: an absent option must not hide a known value. */
function given<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
