/** A run while one of its sessions is live: the session's reports become the run's record until it ends. */
import { rmSync } from 'node:fs';
import type { Checkpoint, Notice, Params, Run, Session } from '../../../protocol/domain.ts';
import { fromWire, TrainstashError } from '../../../protocol/errors.ts';
import { maskParams, maskText } from '../../../protocol/secrets.ts';
import {
  type CheckpointFile,
  type DivergedEvent,
  type ExitRecord,
  exitErrorToWire,
  type Launch,
} from '../../../protocol/session.ts';
import { counted } from '../../../protocol/words.ts';
import { OWN_FOLDER, type SessionDirectory } from '../../../session/directory.ts';
import { signalRunner, untilGone } from '../../../session/processes.ts';
import { reachedStep } from '../../../session/reached.ts';
import { sweepSession } from '../../../session/sweep.ts';
import type { TakenEvents } from '../../store/catalog/events.ts';
import { withSummary } from '../../store/catalog/points.ts';
import type { RunChange, RunFields } from '../../store/catalog/run-change.ts';
import type { ProjectContext } from '../context.ts';
import { deferred } from '../deferred.ts';
import { labelOf } from '../naming.ts';
import { beginningOf } from './beginning.ts';
import { BeginningScript } from './beginning-script.ts';
import type { LiveRunEvents } from './ended.ts';
import { endOf } from './ending.ts';
import { etaSeconds, type Pace } from './eta.ts';
import { Follower, type Stored } from './follower.ts';
import { HeldRun } from './held-run.ts';
import { keepPolicy } from './keep-policy.ts';
import { takeLeftovers } from './leftovers.ts';
import { type LaunchNotice, quotaNotice, stalledNotice } from './notices.ts';
import { OverlapCheck } from './overlap-check.ts';
import { CheckpointRequests } from './requests.ts';

const PERSIST_MS = 2_000;

export class LiveRun {
  readonly follower: Follower;
  /** Settles at "started", or with the error of a session that ended earlier. */
  readonly started = deferred<void>();
  readonly #context: ProjectContext;
  readonly #launch: Launch;
  #identity: Launch['identity'];
  readonly #events: LiveRunEvents;
  readonly #script: BeginningScript;
  #wroteFiles = false;
  readonly #held: HeldRun;
  #pace: Pace | null = null;
  /** Last reported step of each metric in this session. */
  readonly #lastSteps = new Map<string, number>();
  #persistedAt = 0;
  readonly #overlap: OverlapCheck;
  /** Retention that the script asks for, where its job sets none. */
  #keep: Launch['keep'] | null = null;
  #forced = false;
  readonly #requests = new CheckpointRequests();

  constructor(
    context: ProjectContext,
    run: Run,
    session: Session,
    launch: Launch,
    directory: SessionDirectory,
    events: LiveRunEvents,
  ) {
    this.#context = context;
    this.#held = new HeldRun(context.store, run);
    this.#launch = launch;
    this.#identity = launch.identity;
    this.#events = events;
    this.#script = new BeginningScript(directory);
    this.#overlap = new OverlapCheck(context, session);
    this.follower = new Follower({
      store: context.store,
      directory,
      session,
      sources: launch.command ? ['runnerEvents', 'events'] : ['events'],
      away: events.away,
      leftovers: launch.command && !events.away ? (wasSeen) => takeLeftovers(context, directory, wasSeen) : undefined,
      // A checkpoint belongs to the code that made it, not to that of the run's first session.
      run: () => this.atLaunch,
      log: context.log,
      handle: {
        events: (taken) => this.#onEvents(taken),
        refuses: (facts) => this.#refuses(facts),
        saved: (stored) => this.#onSaved(stored),
        saveFailed: (error) => this.#onSaveFailed(error),
        stalled: () => this.addNotices([stalledNotice(this.#run)]),
        ended: (exit) => this.#onEnded(exit),
      },
    });
  }

  get run(): Run {
    return this.#held.run;
  }

  get #run(): Run {
    return this.#held.run;
  }

  /** Run with the branch and the code of this launch, which need not be those of the run's first session. */
  get atLaunch(): Run {
    return { ...this.#run, ...this.#identity };
  }

  get launch(): Launch {
    return this.#launch;
  }

  /** True if there is a curve from before this session. */
  get #hasEarlierCurve(): boolean {
    return this.follower.session.ordinal > 1 || this.#run.parent !== null;
  }

  /** True if the run writes into the project by path: a switch of the branch waits for it. */
  get writesFiles(): boolean {
    return this.#launch.files.length > 0 || this.#wroteFiles;
  }

  /** Asks the trainer to act at its next step boundary. */
  request(body: { pause?: true; stop?: true; checkpoint?: true; forPackage?: true }): number {
    const { directory } = this.follower;
    const seq = (directory.control()?.seq ?? 0) + 1;
    directory.writeControl({ seq, ...body });
    return seq;
  }

  requestCheckpoint(): Promise<Checkpoint> {
    return this.#requests.add(this.request({ checkpoint: true, ...this.#toPackage }));
  }

  /** True while the script has not yet initialised the package that it uses. */
  get isBeginning(): boolean {
    return !this.#run.cooperative && this.#script.isBeginning;
  }

  /** Asks for a pause at the next step boundary, or at the first one. */
  requestPause(): Promise<Run> {
    const { cooperative } = this.#run;
    const waits = this.isBeginning;
    this.request({ pause: true, ...this.#toPackage });
    this.#script.pauseWaits = waits;
    if (waits) return this.update({ status: 'pausing', reason: 'at its first step: its script is still starting' });
    return this.update({ status: 'pausing', reason: cooperative ? 'at the next step' : 'its script was asked to end' });
  }

  /** Ends a script at its beginning, for a user who does not wait for the first step. */
  endWithoutSaving(): Promise<Run> {
    this.request({ pause: true });
    return this.update({ status: 'pausing', reason: 'its script was asked to end' });
  }

  get #toPackage(): { forPackage?: true } {
    return this.isBeginning ? { forPackage: true } : {};
  }

  /** Kills the trainer; settles when the run has ended and its devices are free. */
  async kill(): Promise<void> {
    this.#forced = true;
    const record = this.follower.directory.process();
    if (this.#events.away) await this.#events.away.kill();
    else signalRunner(this.follower.directory, 'SIGKILL');
    await this.follower.finished;
    await untilGone(record);
  }

  update(set: RunFields): Promise<Run> {
    return this.change({ set });
  }

  /** Makes a change that another owner asks for. */
  async change({ set = {}, addNotices = [], ...more }: RunChange): Promise<Run> {
    this.#held.set(set);
    for (const notice of addNotices) this.#held.addNotice(notice);
    await this.#persist(more);
    return this.#run;
  }

  /** Gives renamed branches their new names, by their ids. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    const here = names.get(this.#identity.branchId ?? '');
    if (here !== undefined) this.#identity = { ...this.#identity, branch: here };
    const own = names.get(this.#run.branchId ?? '');
    if (own !== undefined) void this.update({ branch: own });
  }

  /** Adds notices, all of them before anything is awaited. */
  async addNotices(notices: readonly LaunchNotice[]): Promise<void> {
    const { step } = this.#run;
    await Promise.all(notices.map((notice) => this.#notice({ ...notice, step, at: Date.now() })));
  }

  /** Warns once for each branch. */
  async codeMoved(to: string): Promise<void> {
    const text = `HEAD moved to ${to} while it runs: code that it imports or starts from now on comes from ${to}.`;
    if (this.#run.notices.some((notice) => notice.code === 'codeMoved' && notice.text === text)) return;
    await this.#addNotice('codeMoved', 'warning', text);
  }

  /** Stops following; the training continues without the daemon. */
  dispose(): void {
    this.follower.dispose();
    const ended = 'The daemon exited. The training continues.';
    this.#requests.reject(new TrainstashError('daemonUnavailable', ended, { reason: 'ended' }));
  }

  // ---- what the follower reports ----

  async #onEvents(taken: TakenEvents): Promise<void> {
    const { started, last } = taken;
    if (started) await this.#onStarted(started);
    if (taken.first !== null) await this.#onOwnProgress();
    if (taken.first !== null) await this.#onFirstStep(taken.first);
    if (taken.plan) {
      const { totalSteps, stepsPerEpoch } = taken.plan;
      this.#held.set({ totalSteps, stepsPerEpoch });
    }
    if (last) {
      const { epoch, t, values } = last;
      const metrics = { ...this.#run.metrics };
      for (const [name, { summary, toldAt }] of Object.entries(taken.metrics)) {
        // Exact summaries are computed at the end of the run; those of a resume contain these values already.
        if (!started || !this.#hasEarlierCurve) metrics[name] = withSummary(metrics[name], summary);
        this.#lastSteps.set(name, toldAt);
      }
      const step = reachedStep(this.#lastSteps, last.step);
      this.#held.set({ step, epoch, metrics });
      if (this.#pace) this.#held.set({ etaSeconds: etaSeconds(this.#pace, step, t, this.#run.totalSteps) });
      this.#context.announce.metrics(this.#run, last.step, values);
    }
    for (const { code, level, text, step, t } of taken.notices) await this.#notice({ code, level, text, step, at: t });
    if (taken.diverged) await this.#onDiverged(taken.diverged);
    if (taken.malformed > 0) {
      const text = `${counted(taken.malformed, 'malformed line of its event file was', 'malformed lines of its event file were')} skipped.`;
      await this.#addNotice('eventMalformed', 'warning', text);
    }
    if (taken.answered !== null) this.#requests.answered(taken.answered);
    await this.addNotices(await this.#overlap.check(this.#run, false));
    if (Date.now() - this.#persistedAt > PERSIST_MS) await this.#persist();
    else this.#context.announce.run(this.#run);
    if (started) this.started.resolve();
  }

  async #onStarted(started: NonNullable<TakenEvents['started']>): Promise<void> {
    const { store } = this.#context;
    const { session } = this.follower;
    const run = this.#run;
    const params = maskParams(started.params as Params);
    this.#pace = { startStep: started.step, startedAt: started.t };
    this.#keep = this.#launch.stated.includes('keep') ? null : (started.keep ?? null);
    this.#script.expect(started.expectsPackage ?? false);
    if (started.cooperative) this.#script.pauseWaits = false;
    const earlier = await store.runs({ drafts: false, trashed: false, before: run.number, limit: 50 });
    const previous = earlier.runs.find(({ job }) => job === run.job);
    // After a resume the curve has changed: the points after the checkpoint are hidden.
    const metrics = this.#hasEarlierCurve ? await store.summarizeMetrics(run.id) : run.metrics;
    this.#held.set({
      // As it is now: somebody may have asked for a pause since.
      status: this.#run.status === 'starting' ? 'running' : this.#run.status,
      step: started.step,
      epoch: started.epoch,
      totalSteps: started.totalSteps,
      stepsPerEpoch: started.stepsPerEpoch,
      monitor: started.monitor,
      cooperative: started.cooperative,
      startsAnew: run.startsAnew && !started.cooperative,
      params,
      label: labelOf(params, previous?.params),
      backend: started.environment.backend ?? run.backend,
      metrics,
    });
    session.environment = { ...session.environment, ...started.environment };
    await store.putSession(session);
    this.#persistedAt = 0;
  }

  /**
   * Handles a script that has begun without the package: it saves by itself, so a pause that waits for a step would
   * never come.
   */
  async #onOwnProgress(): Promise<void> {
    if (this.#run.cooperative || this.#launch.command === null) return;
    this.#script.savedWithoutPackage();
    if (!this.#script.pauseWaits) return;
    this.#script.pauseWaits = false;
    rmSync(this.follower.directory.file('control'), { force: true });
    this.#held.set({ status: 'running', reason: '' });
    const text = `It was not paused: its script has started, and only saves by itself. \`trainstash pause ${this.#run.number}\` shows what a pause would lose.`;
    await this.#addNotice('pauseWithdrawn', 'warning', text);
  }

  /** Runs once for each session; a script that uses the package begins exactly where it says. */
  async #onFirstStep(step: number): Promise<void> {
    const { session } = this.follower;
    const { store } = this.#context;
    if (session.firstStep != null) return;
    session.firstStep = step;
    const earlier = (await store.sessions(this.#run.id)).find(({ purpose }) => purpose === 'train');
    const usual = earlier && earlier.id !== session.id ? (earlier.firstStep ?? null) : null;
    const isOfOthers = this.#launch.command !== null && !this.#run.cooperative;
    const begun = isOfOthers ? beginningOf(session, step, usual) : null;
    if (begun) session.resumedFrom = begun.resumedFrom;
    await store.putSession(session);
    if (!begun) return;
    this.#held.set({ metrics: await store.summarizeMetrics(this.#run.id) });
    await this.#addNotice(begun.notice.code, begun.notice.level, begun.notice.text);
  }

  /** Tells whether a file may belong to another run: with two scripts that save anywhere nobody can tell, so it is not kept. */
  async #refuses(facts: CheckpointFile): Promise<boolean> {
    if (facts.place === null || facts.place.startsWith(OWN_FOLDER)) return false;
    const others = this.#events.otherWriters();
    if (others.length === 0) return false;
    const text = `Files were not kept, because ${others.join(', ')} may have written them as well. Give each run its own folder with \${dir}, or start one after the other.`;
    if (!this.#run.notices.some((notice) => notice.text === text))
      await this.#addNotice('filesShared', 'warning', text);
    return true;
  }

  async #onSaved(stored: readonly Stored[]): Promise<void> {
    const { store, announce } = this.#context;
    for (const one of stored) await this.#onStored(one);
    const keep = this.#keep ?? this.#launch.keep;
    const trashed = await store.applyRetention(this.#run.id, keepPolicy(this.#run, { ...this.#launch, keep }));
    for (const old of trashed) announce.checkpoint(old);
    const [pruned, over] = [stored.flatMap((one) => one.pruned).length, stored.some((one) => one.over)];
    if (over || pruned > 0) await this.addNotices([quotaNotice(pruned, over)]);
    await this.#persist({ recount: true });
    for (const { checkpoint } of stored) this.#requests.stored(checkpoint);
  }

  async #onStored({ checkpoint, facts }: Stored): Promise<void> {
    const { store, announce } = this.#context;
    if (facts.place !== null && !facts.place.startsWith(OWN_FOLDER)) {
      this.#wroteFiles = true;
      this.#events.wrote(facts.files.map(({ name }) => (facts.place === '' ? name : `${facts.place}/${name}`)));
    }
    announce.checkpoint(checkpoint);
    if (facts.place !== null) await this.#onOwnProgress();
    await this.#onFirstStep(checkpoint.step);
    const replaced = facts.replaces && (await store.replaceCheckpoint(facts.replaces, checkpoint.id));
    if (replaced) announce.checkpoint(replaced);
  }

  async #onSaveFailed(error: Error): Promise<void> {
    this.#context.log(`checkpoint of ${this.#run.name} not stored: ${error.message}`);
    const known = this.#run.notices.at(-1);
    if (known?.code === 'saveFailed' && Date.now() - known.at < 60_000) return;
    const text = `A checkpoint could not be stored (${error.message}). Its files are kept in ${this.follower.directory.file('taking')}, and Trainstash keeps trying to store them.`;
    await this.#addNotice('saveFailed', 'error', text);
  }

  async #onEnded(exit: ExitRecord | null): Promise<void> {
    const { store } = this.#context;
    const { session, directory } = this.follower;
    const endedAt = exit?.at ?? Date.now();
    await store.putSession({ ...session, endedAt });
    await this.addNotices(await this.#overlap.check(this.#run, true));
    await this.#persist({ recount: true });
    const checkpoints = await store.checkpoints(this.#run.id);
    const metrics = await store.summarizeMetrics(this.#run.id);
    const asked = ['pausing', 'stopping'].includes(this.#run.status);
    this.#held.set(endOf(this.#run, { exit, endedAt, forced: this.#forced, checkpoints, metrics }));
    sweepSession(directory, this.#context.log);
    const change = (more: RunChange) => this.change(more);
    await this.#events.ended({ run: this.#run, exit, directory, session, forced: this.#forced, asked, change });
    const { name, id, status, reason } = this.#run;
    const error = exit?.error ? fromWire(exitErrorToWire(exit.error)) : new TrainstashError('internal', reason, {});
    this.started.reject(error);
    const tooLate = `${name} ended before the checkpoint: ${reason || status}.`;
    this.#requests.reject(new TrainstashError('wrongStatus', tooLate, { run: id, status, allowed: ['running'] }));
  }

  /** Lowers the grade of the run's other checkpoints, too: they also lack the state that the resume did not restore. */
  async #onDiverged({ ingredient, text, t }: DivergedEvent): Promise<void> {
    const { resumedFrom } = this.follower.session;
    if (!resumedFrom || this.#run.parent?.checkpoint === resumedFrom.checkpoint) return;
    const lowered = await this.#context.store.doubt(resumedFrom.checkpoint, { ingredient, text, at: t });
    for (const checkpoint of lowered) this.#context.announce.checkpoint(checkpoint);
  }

  #addNotice(code: string, level: Notice['level'], text: string): Promise<void> {
    return this.#notice({ code, level, text, step: this.#run.step, at: Date.now() });
  }

  async #notice(said: Notice): Promise<void> {
    const notice = { ...said, text: maskText(said.text) };
    this.#held.addNotice(notice);
    this.#context.announce.notice(this.#run, notice);
    await this.#persist();
  }

  async #persist(more?: Pick<RunChange, 'dropNotices' | 'recount'>): Promise<void> {
    this.#persistedAt = Date.now();
    this.#context.announce.run(await this.#held.write(more));
  }
}
