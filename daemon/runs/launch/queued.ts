/**
 * Queued runs. Each starts at its turn if the tree has the code that it was queued with, and if its environment is
 * known; else it waits and says what for. A ready run passes those that wait for the user.
 */
import type { JobConfig } from '../../../protocol/config.ts';
import type { Run, Waiting } from '../../../protocol/domain.ts';
import { isError, TrainstashError } from '../../../protocol/errors.ts';
import { maskedCount, maskText } from '../../../protocol/secrets.ts';
import type { Launch } from '../../../protocol/session.ts';
import type { Hold } from '../../devices/turn.ts';
import { hasFields, type RunChange, type RunFields } from '../../store/catalog/run-change.ts';
import { findJob, readConfig } from '../config.ts';
import type { ProjectContext } from '../context.ts';
import { interruptionNotices } from '../live/notices.ts';
import { jobOfRun } from './ad-hoc.ts';
import { type Environment, obstacleOf } from './environments.ts';
import { codeDifference, measure, measureStable } from './identity.ts';
import type { Launcher } from './launcher.ts';
import type { Barrier, Launching } from './launching.ts';
import { planResume } from './plan.ts';
import { describeDifferences } from './preflight.ts';
import { Queue, type QueueEntry } from './queue.ts';
import {
  codeText,
  environmentText,
  factsOf,
  isCrashed,
  isInterruption,
  migratedEntry,
  mistakeText,
  newEntry,
  nextSteps,
  orMistake,
  placeOf,
  QUEUED,
  requireTarget,
  secretParamsText,
  secretText,
  unlessMistaken,
  wordsOf,
} from './queue-entries.ts';
import { lostParams } from './secret-params.ts';

/** Waits that a person has to end. */
const PERSON: ReadonlySet<Waiting['for']> = new Set(['environment', 'code', 'files']);

/** Place in the queue, conditions for the start, and facts about an environment whose values are not known. */
export type QueueConditions = Partial<
  Pick<QueueEntry, 'priority' | 'urgent' | 'interrupts' | 'accepted' | 'movable' | 'after' | 'notBefore'> &
    Pick<QueueEntry, 'interpreter' | 'program' | 'variables'>
>;

export interface QueuedSetup {
  context: ProjectContext;
  launcher: Launcher;
  barrier: Barrier;
  /** Returns the words of a run without a job as they were given; undefined when they are no longer known. */
  wordsOf(run: string): readonly string[] | undefined;
  /** Environment of the daemon: that of the shell or editor which started it. */
  ownEnvironment: Environment;
}

export class QueuedRuns {
  readonly #setup: QueuedSetup;
  readonly #queue: Queue;
  /** Newest environment that a client has offered. */
  #offered: Environment | null = null;
  /** Run being checked: if it is removed from the queue meanwhile, it must not start. */
  #starting: string | null = null;

  constructor(setup: QueuedSetup) {
    this.#setup = setup;
    this.#queue = new Queue(setup.context.place.store);
  }

  get size(): number {
    return this.entries.length;
  }

  get entries(): QueueEntry[] {
    const { launcher } = this.#setup;
    // A run that is interrupted has its entry while it is still live.
    return this.#queue.entries.filter(({ isRestart, run }) => !isRestart && !launcher.find(run));
  }

  has(run: string): boolean {
    return this.entries.some((entry) => entry.run === run);
  }

  /** Adds a run to the queue. A run that is queued already keeps its turn. */
  async add(
    { run, set, job, checkpoint, accept, root, measured }: Launching,
    environment: Environment | undefined,
    conditions: QueueConditions = {},
  ): Promise<Run> {
    const { launcher } = this.#setup;
    const { branch, branchId, commit, dirty, code } = measured.identity;
    if (environment) launcher.remember(run.id, environment);
    this.#queue.put({
      ...newEntry(run, root),
      ...{ checkpoint: checkpoint?.id ?? null, accept },
      identity: { branch, branchId, commit, dirty, code },
      ...(environment ? factsOf(root, job, environment) : {}),
      ...conditions,
    });
    return launcher.change(run.id, { set: { ...set, ...QUEUED } });
  }

  /** Notes a run that is restarted after its delay, if this daemon lives until then; if not, it waits for its turn like others. */
  planRestart(run: Run, launch: Launch, environment: Environment): void {
    this.#noteGoingOn(run, launch, environment, { checkpoint: run.lastCheckpoint?.id ?? null, isRestart: true });
  }

  /**
   * Notes that a live run is interrupted for an urgent one, before it is asked to end. Returns false if the run could not go on
   * afterwards.
   */
  noteInterruption(run: Run, launch: Launch, environment: Environment | undefined, by: Run): boolean {
    const known = this.#queue.get(run.id);
    if (known && isInterruption(known, run)) return true;
    return this.#noteGoingOn(run, launch, environment, {
      // Ahead of what was queued meanwhile: it had its devices already.
      at: run.startedAt ?? run.createdAt,
      interruptedFor: by.id,
      interruption: { session: run.session, byName: by.name, askedAt: Date.now(), endedAt: null, step: run.step },
    });
  }

  /** Notes that a run that has ended goes back to a checkpoint. Returns false if it could not be started again. */
  noteRollback(
    run: Run,
    launch: Launch,
    environment: Environment | undefined,
    { id, ...rollback }: NonNullable<QueueEntry['rollback']> & { id: string | null },
  ): boolean {
    const at = run.startedAt ?? run.createdAt;
    return this.#noteGoingOn(run, launch, environment, { at, checkpoint: id, rollback });
  }

  #noteGoingOn(
    run: Run,
    { root, identity, command, variables }: Launch,
    environment: Environment | undefined,
    why: Partial<QueueEntry>,
  ): boolean {
    const job = unlessMistaken(() => this.#jobOf(run, root));
    if (job === null) return false;
    this.#queue.put({
      ...newEntry(run, root),
      accept: true,
      identity,
      // The daemon that launched it may have died since, and its memory of the environment with it.
      ...(environment && job ? factsOf(root, job, environment) : { variables, program: command?.words[0] ?? null }),
      ...why,
    });
    return true;
  }

  /** Returns what changes at the end of a run that was interrupted: it waits to go on. Null: it was not, or is over. */
  asInterrupted(ended: Run): RunChange | null {
    const entry = this.#queue.get(ended.id);
    return entry && isInterruption(entry, ended) ? this.#afterInterruption(ended, entry) : null;
  }

  #afterInterruption(ended: Run, entry: QueueEntry): RunChange | null {
    const { interruption } = entry;
    if (!interruption) return null;
    if (ended.status === 'completed' || ended.status === 'stopped') {
      this.#queue.remove(ended.id);
      return null;
    }
    const endedAt = interruption.endedAt ?? Date.now();
    this.#queue.change(ended.id, { interruption: { ...interruption, endedAt, step: ended.step } });
    const reason = `was interrupted for ${interruption.byName}, and goes on after it`;
    return { set: { status: 'queued', reason, waiting: { for: 'run', behind: null }, draft: false } };
  }

  /** Throws `paramInvalid` if a run that comes after another one would wait for itself, however indirectly. */
  requireNoCircle(run: string, after: string): void {
    const seen = new Set<string>();
    for (
      let next: string | null = after;
      next !== null && !seen.has(next);
      next = this.#queue.get(next)?.after ?? null
    ) {
      if (next !== run) seen.add(next);
      else
        throw new TrainstashError(
          'paramInvalid',
          'A run cannot wait for itself, nor for one that waits for it. Nothing was changed.',
          {
            param: 'after',
            expected: 'a run that does not wait for this one',
          },
        );
    }
  }

  /** Changes the place or the conditions of a queued run. */
  change(run: string, patch: Partial<QueueEntry>): void {
    this.#queue.change(run, patch);
  }

  /** Gives renamed branches their new names, by their ids; the store updates the runs. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    this.#queue.branchesRenamed(names);
  }

  /** Takes a run out that is sent elsewhere. Returns a function that puts it back. */
  takeOut(run: string): () => void {
    const entry = this.#queue.get(run);
    this.remove(run);
    return () => void (entry && this.#queue.put(entry));
  }

  remove(run: string): void {
    this.#queue.remove(run);
    if (this.#starting === run) this.#starting = null;
  }

  /** Accepts the environment of a client of this project, for runs whose own is lost. */
  offer(environment: Environment): void {
    this.#offered = environment;
  }

  /**
   * Restores the queue after a start of the daemon: also runs of an earlier version, and a run that the previous daemon
   * was about to start.
   */
  async recover(isLive: (run: string) => boolean): Promise<void> {
    const { context, launcher } = this.#setup;
    for (const entry of this.#queue.entries) {
      const run = await context.store.run(entry.run);
      const isInterrupted = run !== undefined && isInterruption(entry, run);
      if (!run || isLive(run.id)) {
        // One that lives has started; the note of an interruption counts until that session has ended.
        if (!isInterrupted) this.#queue.remove(entry.run);
      } else if (isInterrupted && run.status !== 'queued') {
        // Its daemon died after the session had ended, and before the record said so.
        const goesOn = run.trashedAt === null ? this.#afterInterruption(run, entry) : null;
        if (goesOn) await launcher.change(run.id, goesOn);
        else this.#queue.remove(run.id);
      } else if (run.status === 'queued' || run.status === 'starting' || (entry.isRestart && isCrashed(run))) {
        if (entry.isRestart) this.#queue.change(run.id, { isRestart: false });
        await launcher.change(run.id, { set: QUEUED });
      } else this.#queue.remove(run.id);
    }
    for (const run of await context.store.runsWithStatus(['queued']))
      if (!run.engine && !isLive(run.id) && !this.#queue.has(run.id)) this.#queue.put(migratedEntry(run, context));
  }

  /** Counts the runs that wait for an environment. */
  async needEnvironment(): Promise<number> {
    const runs = await Promise.all(this.entries.map(({ run }) => this.#setup.context.store.run(run)));
    return runs.filter((run) => run?.waiting?.for === 'environment').length;
  }

  /** Starts a run if it may. Returns true if the device is taken. */
  async tryStart(id: string, devices: readonly number[] | null): Promise<boolean> {
    const entry = this.entries.find(({ run }) => run === id);
    const run = entry && (await this.#setup.context.store.run(id));
    const { launcher } = this.#setup;
    if (!entry || launcher.isLaunching(id) || launcher.find(id)) return false;
    // One that waits on an engine is not this queue's, whatever its entry says.
    if (run?.status !== 'queued' || run.waiting?.for === 'engine') {
      // The record of a run that has just been interrupted follows.
      if (!entry.interruption) this.#queue.remove(id);
      return false;
    }
    this.#starting = id;
    try {
      return await this.#start(entry, run, { gpu: entry.gpu, devices: devices && [...devices] });
    } catch (error) {
      if (!this.#queue.has(id)) return false;
      this.#queue.remove(id);
      const reason = maskText((error as Error).message);
      await launcher.change(id, { set: { status: 'failed', reason, waiting: null, endedAt: Date.now() } });
      return false;
    } finally {
      this.#starting = null;
    }
  }

  /** Records that a run waits for the device; `behind` is the run that it waits for. */
  async waitForDevice(id: string, text: string, behind: Run | null): Promise<void> {
    const run = await this.#setup.context.store.run(id);
    // It waits for a person as well: that is what has to be seen.
    if (run?.status !== 'queued' || (run.waiting && PERSON.has(run.waiting.for))) return;
    await this.#wait(run, 'device', text, behind?.number ?? null);
  }

  /** Records what holds a run back before it looks for a device. */
  async hold(id: string, { for: what, text, behind }: Hold): Promise<void> {
    const run = await this.#setup.context.store.run(id);
    if (run?.status === 'queued') await this.#wait(run, what, text.replaceAll('RUN', String(run.number)), behind);
  }

  async #start(entry: QueueEntry, recorded: Run, set: RunFields): Promise<boolean> {
    const run: Run = { ...recorded, ...set };
    const { launcher, barrier, context } = this.#setup;
    const place = { ...context.place, root: entry.root };
    const here = { ...context, place };
    // At the end of another run nothing is likely to move; where the code differed a moment ago, it may.
    const measured = run.waiting?.for === 'code' ? await measureStable(here) : await measure(here);
    if (measured === null) return false;
    const difference = await codeDifference(here, entry.identity, measured.identity);
    if (difference.code) return this.#wait(run, 'code', codeText(run, difference, entry, measured.identity));
    // A file that git ignores is no part of the code.
    const found = orMistake(() => this.#jobOf(run, entry.root));
    if ('mistake' in found) return this.#wait(run, 'code', mistakeText(run, found.mistake));
    const job = found.value;
    if (job === null) return this.#wait(run, 'environment', secretText(run));
    const lost = lostParams(run, context.secrets.of(run.id));
    if (!run.command && lost.length > 0) return this.#wait(run, 'environment', secretParamsText(run, lost));
    const environment = this.#environmentOf(entry, job);
    if (typeof environment === 'string') return this.#wait(run, 'environment', environmentText(run, environment));
    try {
      await barrier.before(entry.root, job.files.length > 0 || job.checkpoints.length > 0);
    } catch (error) {
      if (!isError(error, 'switchWaiting')) throw error;
      return this.#wait(run, 'files', `waits for files of its branch: ${error.message}`);
    }
    const launching = await this.#launchingOf(entry, run, job, here, environment);
    if (typeof launching === 'string') return this.#wait(run, 'code', launching);
    // The user may have dropped or started it meanwhile.
    if (this.#starting !== run.id || launcher.isLaunching(run.id)) return false;
    launcher.remember(run.id, environment);
    // In the record before the process starts: a daemon that dies then has said it.
    const said = entry.interruption ? interruptionNotices(entry.interruption, launching.checkpoint, Date.now()) : [];
    const addNotices = said.map((notice) => ({ ...notice, step: run.step, at: Date.now() }));
    // Of a launch that a daemon did not live to finish it was said already.
    const since = entry.interruption?.askedAt ?? Number.POSITIVE_INFINITY;
    const notices = { dropNotices: { codes: ['interrupted'], since }, addNotices };
    if (!(await launcher.beginQueued({ ...launching, set, measured, notices }))) return false;
    // Removed only now: if the daemon dies before, the run is still queued.
    this.#queue.remove(run.id);
    return true;
  }

  /** Returns the run's job; null: its command has words that were not kept. */
  #jobOf(run: Run, root: string): JobConfig | null {
    if (!run.command) return findJob(readConfig(root), run.job);
    const words = this.#setup.wordsOf(run.id);
    return !words && maskedCount(run.command.words) > 0 ? null : jobOfRun(run, words);
  }

  /** Finds an environment for the run, or explains what the available ones lack. */
  #environmentOf(entry: QueueEntry, job: JobConfig): Environment | string {
    const { launcher, ownEnvironment } = this.#setup;
    const own = launcher.environmentOf(entry.run);
    if (own) return own;
    const needs = { ...entry, ...placeOf(entry.root, job), words: wordsOf(job) };
    const withInterpreter = ({ environment, interpreter }: Environment): Environment => ({
      environment,
      interpreter: entry.interpreter ?? interpreter,
    });
    const candidates = [...(this.#offered ? [this.#offered] : []), ownEnvironment].map(withInterpreter);
    const suitable = candidates.find((candidate) => obstacleOf(candidate, needs) === null);
    return suitable ?? obstacleOf(candidates[0]!, needs)!;
  }

  /** Plans the launch, or explains what has changed since queueing. */
  async #launchingOf(
    entry: QueueEntry,
    run: Run,
    job: JobConfig,
    here: ProjectContext,
    { environment, interpreter }: Environment,
  ): Promise<Omit<Launching, 'measured' | 'set'> | string> {
    const rest = { run, before: null, accept: entry.accept, root: entry.root, skip: entry.rollback?.skip ?? null };
    await requireTarget(this.#setup.context.store, entry, run);
    if (entry.checkpoint === null && !entry.interruption)
      return { ...rest, job, checkpoint: null, startsAnew: false, passedOver: [] };
    const command = this.#setup.wordsOf(run.id);
    const plan = await planResume(here, {
      run: run.id,
      from: entry.checkpoint ?? undefined,
      command,
      environment,
      interpreter,
    });
    if (plan.differences.length > 0 && !entry.accept)
      return `waits, because something has changed: ${describeDifferences(plan.differences)}. ${nextSteps(run)}`;
    const { job: planned, checkpoint, startsAnew } = plan;
    return { ...rest, job: planned, checkpoint, startsAnew, passedOver: [] };
  }

  async #wait(run: Run, what: Waiting['for'], text: string, behind: number | null = null): Promise<false> {
    // It was dropped or is being started meanwhile: its record must not be overwritten.
    if (!this.#queue.has(run.id) || this.#setup.launcher.isLaunching(run.id)) return false;
    const reason = maskText(text);
    const waiting: Waiting = { for: what, behind };
    if (!hasFields(run, { reason, waiting }))
      await this.#setup.launcher.changeIf(run.id, { status: 'queued' }, { set: { reason, waiting } });
    return false;
  }
}
