/**
 * Starts sessions and follows them to their end: what lives now, and what a crash starts again. The truth is in session
 * directories and the store; what is in memory here can be lost at any moment.
 */
import { rmSync } from 'node:fs';
import type { JobConfig } from '../../protocol/config.ts';
import type { Checkpoint, Run, Session } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { maskText } from '../../protocol/secrets.ts';
import type { Launch } from '../../protocol/session.ts';
import type { SessionDirectory } from '../sessions/directory.ts';
import { isFromEarlierBoot } from '../sessions/watch.ts';
import { type ProjectContext, sessionOf } from './context.ts';
import { withDeadline } from './deferred.ts';
import { type Ended, LiveRun } from './live.ts';
import { passedOverText } from './plan.ts';
import { prepareSession } from './prepare.ts';
import { newSession } from './records.ts';
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
export interface Launching {
  run: Run;
  before: Run | null;
  job: JobConfig;
  checkpoint: Checkpoint | null;
  /** Number of newer checkpoints, of diverged states, that it does not go on from. */
  passedOver?: number;
  accept: boolean;
  root: string;
  debugger?: readonly string[];
}

/** What starts a run again after a crash. */
export type Restart = (run: string, options: LaunchOptions) => Promise<Run>;

export class Launcher {
  readonly #context: ProjectContext;
  readonly #device: Device;
  readonly #barrier: Barrier;
  readonly #restart: Restart;
  readonly #live = new Map<string, LiveRun>();
  readonly #queue = new Map<string, Launching>();
  /** Being launched: a second request for the same run must not launch it twice. */
  readonly #launching = new Set<string>();
  /** Values live here and in the trainer only; a restart needs them. */
  readonly #environments = new Map<string, Pick<LaunchOptions, 'environment' | 'interpreter'>>();
  readonly #restartTimers = new Set<NodeJS.Timeout>();
  readonly #wroteUntil = new Map<string, number>();
  #disposed = false;

  constructor(context: ProjectContext, device: Device, barrier: Barrier, restart: Restart) {
    this.#context = context;
    this.#device = device;
    this.#barrier = barrier;
    this.#restart = restart;
  }

  get busy(): boolean {
    return this.#live.size + this.#queue.size + this.#launching.size + this.#restartTimers.size > 0;
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

  /** The environment that a run was launched with; undefined when the daemon that knew it is gone. */
  environmentOf(run: string): Pick<LaunchOptions, 'environment' | 'interpreter'> | undefined {
    return this.#environments.get(run);
  }

  /** When a run of the branch with that id that writes by path last ended there. */
  wroteUntil(root: string, branchId: string): number {
    return this.#wroteUntil.get(`${root}\0${branchId}`) ?? 0;
  }

  /** Gives branches that were renamed their new names, by their ids. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    for (const live of this.#live.values()) {
      const name = names.get(live.run.branchId ?? '');
      if (name !== undefined) void live.update({ branch: name });
    }
    for (const queued of this.#queue.values()) {
      const name = names.get(queued.run.branchId ?? '');
      if (name !== undefined) queued.run = { ...queued.run, branch: name };
    }
  }

  /** Takes over a session that runs, or ran, without this daemon. */
  adopt(run: Run, session: Session, launch: Launch): void {
    if (this.#live.has(run.id)) return;
    this.#follow(run, session, launch, sessionOf(this.#context, session.id));
  }

  startNextQueued(): boolean {
    const next = [...this.#queue.values()][0];
    if (!next || !this.#device.isFree()) return false;
    this.#queue.delete(next.run.id);
    this.#launch(next).catch(async (error: Error) => {
      await this.put({ ...next.run, status: 'failed', reason: maskText(error.message), endedAt: Date.now() });
      this.#device.freed();
    });
    return true;
  }

  unqueue(run: string): void {
    this.#queue.delete(run);
  }

  dispose(): void {
    this.#disposed = true;
    for (const timer of this.#restartTimers) clearTimeout(timer);
    for (const live of this.#live.values()) live.dispose();
    this.#live.clear();
  }

  async begin(what: Launching, { environment, interpreter, queue, debugger: own }: LaunchOptions): Promise<Run> {
    const launching: Launching = own ? { ...what, debugger: own } : what;
    const { run } = launching;
    this.#environments.set(run.id, { environment, interpreter });
    if (queue && !this.#device.isFree()) {
      this.#queue.set(run.id, launching);
      return this.put({ ...run, status: 'queued', reason: 'waits for the device' });
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
      if (before) await this.put(before);
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
    const starting = await this.put({
      ...run,
      status: 'starting',
      reason: '',
      failure: null,
      startsAnew: job.module === undefined && job.resume === undefined,
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
    if (checkpoint && rest.passedOver) await live.saidPassedOver(passedOverText(checkpoint.step, rest.passedOver));
    return live;
  }

  #follow(run: Run, session: Session, launch: Launch, directory: SessionDirectory): LiveRun {
    const live = new LiveRun(this.#context, run, session, launch, directory, {
      ended: (ended) => this.#onEnded(ended),
      othersWriting: () => this.#othersWriting(run.id, launch.root),
      wrote: (paths) => this.#barrier.wrote(launch.root, run.id, paths),
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
    await this.put(ended.run);
    const launch = ended.directory.launch();
    const root = launch?.root ?? this.#context.place.root;
    if (wroteFiles) this.#wroteUntil.set(`${root}\0${ended.run.branchId}`, Date.now());
    this.#barrier.ended(root, ended.run);
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
      void this.put({ ...run, reason });
      return;
    }
    const timer = setTimeout(() => {
      this.#restartTimers.delete(timer);
      this.#restart(run.id, { root: directory.launch()?.root, ...options })
        .then((resumed) => this.#live.get(resumed.id)?.update({ restart: { ...next.policy } }))
        .catch((error: Error) => this.#context.log(`${run.name} was not restarted: ${error.message}`));
    }, next.delayMs);
    this.#restartTimers.add(timer);
  }

  async put(run: Run): Promise<Run> {
    await this.#context.store.putRun(run);
    this.#context.announce.run(run);
    return run;
  }
}
