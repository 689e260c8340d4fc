/** A run while one of its sessions lives: what it reports becomes the run's record, until it has ended. */
import { rmSync } from 'node:fs';
import type { Checkpoint, Notice, Params, Run, Session } from '../../protocol/domain.ts';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import { toWireNumber } from '../../protocol/numbers.ts';
import { maskParams, maskText } from '../../protocol/secrets.ts';
import {
  type CheckpointFile,
  type DivergedEvent,
  type ExitRecord,
  exitErrorToWire,
  type Launch,
} from '../../protocol/session.ts';
import { counted, exactly } from '../../protocol/words.ts';
import { OWN_FOLDER, type SessionDirectory } from '../sessions/directory.ts';
import { reached } from '../sessions/reached.ts';
import { sweepSession } from '../sessions/sweep.ts';
import { signalRunner } from '../sessions/watch.ts';
import type { TakenEvents } from '../store/events.ts';
import { withSummary } from '../store/points.ts';
import { lastOf, newestGood } from '../store/retention.ts';
import { beginningOf } from './beginning.ts';
import { BeginningScript } from './beginning-script.ts';
import type { ProjectContext } from './context.ts';
import { deferred } from './deferred.ts';
import { endingOf } from './ending.ts';
import { etaSeconds, type Pace } from './eta.ts';
import { Follower } from './follower.ts';
import { keepPolicy } from './keep-policy.ts';
import { takeLeftovers } from './leftovers.ts';
import { labelOf } from './naming.ts';
import { proofOf } from './proof.ts';
import { CheckpointRequests } from './requests.ts';
import type { Said } from './said.ts';

const PERSIST_MS = 2_000;
const DRAFT_MS = 60_000;
const MAX_NOTICES = 20;

export interface Ended {
  run: Run;
  exit: ExitRecord | null;
  directory: SessionDirectory;
  session: Session;
  forced: boolean;
}

/** What a live run tells, and asks of, those around it. */
export interface Outside {
  ended(ended: Ended): Promise<void>;
  /** Names of other scripts in the same worktree that save wherever they like. */
  othersWriting(): string[];
  wrote(paths: readonly string[]): void;
}

export class LiveRun {
  readonly follower: Follower;
  /** Settles at "started", or with the error of a session that ended before. */
  readonly started = deferred<void>();
  readonly #context: ProjectContext;
  readonly #launch: Launch;
  #identity: Launch['identity'];
  readonly #outside: Outside;
  readonly #script: BeginningScript;
  #wroteFiles = false;
  #run: Run;
  #pace: Pace | null = null;
  /** Steps at which each metric was told last in this session. */
  readonly #told = new Map<string, number>();
  #persistedAt = 0;
  #compared = false;
  /** What the script itself wants to be kept, where its job says nothing. */
  #keep: Launch['keep'] | null = null;
  #forced = false;
  readonly #requests = new CheckpointRequests();

  constructor(
    context: ProjectContext,
    run: Run,
    session: Session,
    launch: Launch,
    directory: SessionDirectory,
    outside: Outside,
  ) {
    this.#context = context;
    this.#run = run;
    this.#launch = launch;
    this.#identity = launch.identity;
    this.#outside = outside;
    this.#script = new BeginningScript(directory);
    this.follower = new Follower({
      store: context.store,
      directory,
      session,
      sources: launch.command ? ['runnerEvents', 'events'] : ['events'],
      leftovers: launch.command ? (wasSeen) => takeLeftovers(context, directory, wasSeen) : undefined,
      // A checkpoint is tied to the code that made it, and not to that of its run's first session.
      run: () => this.here,
      log: context.log,
      handle: {
        events: (taken) => this.#onEvents(taken),
        refuses: (facts) => this.#refuses(facts),
        saved: ({ checkpoint, over, pruned }, facts) => this.#onSaved(checkpoint, over, pruned, facts),
        saveFailed: (error) => this.#onSaveFailed(error),
        stalled: () => this.#onStalled(),
        ended: (exit) => this.#onEnded(exit),
      },
    });
  }

  get run(): Run {
    return this.#run;
  }

  /** With the branch and the code of this launch, which need not be those of the run's first session. */
  get here(): Run {
    return { ...this.#run, ...this.#identity };
  }

  get launch(): Launch {
    return this.#launch;
  }

  /** There is a curve before this session. */
  get #goesOn(): boolean {
    return this.follower.session.ordinal > 1 || this.#run.parent !== null;
  }

  /** By path, into the project: a switch of the branch waits for it. */
  get writesFiles(): boolean {
    return this.#launch.files.length > 0 || this.#wroteFiles;
  }

  /** Asks the trainer for something at its next step boundary. */
  request(body: { pause?: true; stop?: true; checkpoint?: true; forPackage?: true }): number {
    const { directory } = this.follower;
    const seq = (directory.control()?.seq ?? 0) + 1;
    directory.writeControl({ seq, ...body });
    return seq;
  }

  requestCheckpoint(): Promise<Checkpoint> {
    return this.#requests.add(this.request({ checkpoint: true, ...this.#toPackage }));
  }

  /** Its script uses the package, which it has not initialised yet. */
  get isBeginning(): boolean {
    return !this.#run.cooperative && this.#script.isBeginning;
  }

  /** Asks for a pause at the next step boundary, or at the first that there will be. */
  requestPause(): Promise<Run> {
    const { cooperative } = this.#run;
    const waits = this.isBeginning;
    this.request({ pause: true, ...this.#toPackage });
    this.#script.pauseWaits = waits;
    if (waits) return this.update({ status: 'pausing', reason: 'at its first step: its script is still beginning' });
    return this.update({ status: 'pausing', reason: cooperative ? 'at the next step' : 'its script was asked to end' });
  }

  /** A person does not want to wait for its first step. */
  endWithoutSaving(): Promise<Run> {
    this.request({ pause: true });
    return this.update({ status: 'pausing', reason: 'its script was asked to end' });
  }

  get #toPackage(): { forPackage?: true } {
    return this.isBeginning ? { forPackage: true } : {};
  }

  /** Kills the trainer; settles when the run has ended. */
  async kill(): Promise<void> {
    this.#forced = true;
    signalRunner(this.follower.directory, 'SIGKILL');
    await this.follower.finished;
  }

  async update(patch: Partial<Run>): Promise<Run> {
    this.#run = { ...this.#run, ...patch };
    await this.#persist();
    return this.#run;
  }

  /** Gives branches that were renamed their new names, by their ids. */
  branchesRenamed(names: ReadonlyMap<string, string>): void {
    const here = names.get(this.#identity.branchId ?? '');
    if (here !== undefined) this.#identity = { ...this.#identity, branch: here };
    const own = names.get(this.#run.branchId ?? '');
    if (own !== undefined) void this.update({ branch: own });
  }

  async say(said: readonly Said[]): Promise<void> {
    for (const { code, level, text } of said) await this.#say(code, level, text);
  }

  /** Said once for each branch. */
  async codeMoved(to: string): Promise<void> {
    const text = `HEAD moved to ${to} under it: what it imports or starts from now on is code of ${to}.`;
    if (this.#run.notices.some((notice) => notice.code === 'codeMoved' && notice.text === text)) return;
    await this.#say('codeMoved', 'warning', text);
  }

  /** The daemon leaves; the training goes on. */
  dispose(): void {
    this.follower.dispose();
    const ended = 'The daemon ended. The training goes on.';
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
      this.#run = { ...this.#run, totalSteps, stepsPerEpoch };
    }
    if (last) {
      const { epoch, t, values } = last;
      const metrics = { ...this.#run.metrics };
      for (const [name, { summary, toldAt }] of Object.entries(taken.metrics)) {
        // Exact ones are computed when the run has ended; those of a resume have these in them.
        if (!started || !this.#goesOn) metrics[name] = withSummary(metrics[name], summary);
        this.#told.set(name, toldAt);
      }
      const step = reached(this.#told, last.step);
      this.#run = { ...this.#run, step, epoch, metrics };
      if (this.#pace) this.#run = { ...this.#run, etaSeconds: etaSeconds(this.#pace, step, t, this.#run.totalSteps) };
      this.#context.announce.metrics(this.#run, last.step, values);
    }
    for (const { code, level, text, step, t } of taken.notices) await this.#notice({ code, level, text, step, at: t });
    if (taken.diverged) await this.#onDiverged(taken.diverged);
    if (taken.malformed > 0) {
      const text = `${counted(taken.malformed, 'line of its event file is no event and was', 'lines of its event file are no events and were')} skipped.`;
      await this.#say('eventMalformed', 'warning', text);
    }
    if (taken.answered !== null) this.#requests.answered(taken.answered);
    await this.#compareOverlap(false);
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
    this.#run = {
      ...run,
      status: run.status === 'starting' ? 'running' : run.status,
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
      // After a resume the curve is another one: what comes after its checkpoint is hidden.
      metrics: this.#goesOn ? await store.summarizeMetrics(run.id) : run.metrics,
    };
    session.environment = { ...session.environment, ...started.environment };
    await store.putSession(session);
    this.#persistedAt = 0;
  }

  /** Of a script that has begun without the package: it saves by itself, and a pause that waits for a step never comes. */
  async #onOwnProgress(): Promise<void> {
    if (this.#run.cooperative || this.#launch.command === null) return;
    this.#script.begunWithout();
    if (!this.#script.pauseWaits) return;
    this.#script.pauseWaits = false;
    rmSync(this.follower.directory.file('control'), { force: true });
    this.#run = { ...this.#run, status: 'running', reason: '' };
    const text = `It was not paused: its script has begun, and saves by itself only. \`trainstash pause ${this.#run.number}\` says what that would lose.`;
    await this.#say('pauseWithdrawn', 'warning', text);
  }

  /** Only once in a session; one that uses the package begins exactly where it says. */
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
    this.#run = { ...this.#run, metrics: await store.summarizeMetrics(this.#run.id) };
    await this.#say(begun.notice.code, begun.notice.level, begun.notice.text);
  }

  /** In doubt a file is not this run's: with two scripts that save anywhere nobody can tell. */
  async #refuses(facts: CheckpointFile): Promise<boolean> {
    if (facts.place === null || facts.place.startsWith(OWN_FOLDER)) return false;
    const others = this.#outside.othersWriting();
    if (others.length === 0) return false;
    const text = `Files were not kept, since ${others.join(', ')} may have written them as well. Give each run a folder of its own with \${dir}, or one after the other.`;
    if (!this.#run.notices.some((notice) => notice.text === text)) await this.#say('filesShared', 'warning', text);
    return true;
  }

  async #onSaved(checkpoint: Checkpoint, over: boolean, pruned: Checkpoint[], facts: CheckpointFile): Promise<void> {
    const { store, announce } = this.#context;
    if (facts.place !== null && !facts.place.startsWith(OWN_FOLDER)) {
      this.#wroteFiles = true;
      const inside = facts.place === '' ? '' : `${facts.place}/`;
      this.#outside.wrote(facts.files.map(({ name }) => `${inside}${name}`));
    }
    announce.checkpoint(checkpoint);
    if (facts.place !== null) await this.#onOwnProgress();
    await this.#onFirstStep(checkpoint.step);
    const replaced = facts.replaces && (await store.replaceCheckpoint(facts.replaces, checkpoint.id));
    if (replaced) announce.checkpoint(replaced);
    const keep = this.#keep ?? this.#launch.keep;
    const trashed = await store.applyRetention(this.#run.id, keepPolicy(this.#run, { ...this.#launch, keep }));
    for (const old of trashed) announce.checkpoint(old);
    if (over || pruned.length > 0) {
      const still = over ? ', and it is still above it' : '';
      const text = `The store is at its quota: ${counted(pruned.length, 'older automatic checkpoint was', 'older automatic checkpoints were')} deleted${still}. \`trainstash where\` shows sizes; \`trainstash rm\` and \`gc --empty-trash\` make room.`;
      await this.#say('quota', 'warning', text);
    }
    const checkpoints = await store.checkpoints(this.#run.id);
    const { monitor } = this.#run;
    await this.update({ checkpoints: checkpoints.length, lastCheckpoint: lastOf(checkpoints, monitor) });
    this.#requests.stored(checkpoint);
  }

  async #onSaveFailed(error: Error): Promise<void> {
    this.#context.log(`checkpoint of ${this.#run.name} not taken in: ${error.message}`);
    const known = this.#run.notices.at(-1);
    if (known?.code === 'saveFailed' && Date.now() - known.at < 60_000) return;
    const kept = this.follower.directory.file('taking');
    const text = `A checkpoint could not be stored (${error.message}). Its files are kept in ${kept}; it is tried again while the run is followed.`;
    await this.#say('saveFailed', 'error', text);
  }

  async #onStalled(): Promise<void> {
    const text = `No step for 4 minutes. \`trainstash log ${this.#run.number}\` shows its output; \`trainstash stop --force\` ends it if it hangs.`;
    await this.#say('stalled', 'warning', text);
  }

  async #onEnded(exit: ExitRecord | null): Promise<void> {
    const { store } = this.#context;
    const { session, directory } = this.follower;
    await store.putSession({ ...session, endedAt: exit?.at ?? Date.now() });
    await this.#compareOverlap(true);
    const checkpoints = await store.checkpoints(this.#run.id);
    const newest = newestGood(checkpoints, this.#run.monitor) ?? null;
    const endedAt = exit?.at ?? Date.now();
    const ending = endingOf(this.#run, exit, this.#forced, newest);
    this.#run = {
      ...this.#run,
      ...ending,
      endedAt,
      etaSeconds: null,
      // The runner of a script that speaks for itself does not count its steps.
      step: Math.max(exit?.step ?? 0, this.#run.step),
      epoch: Math.max(this.#run.epoch, newest?.epoch ?? 0),
      checkpoints: checkpoints.length,
      lastCheckpoint: lastOf(checkpoints, this.#run.monitor),
      metrics: await store.summarizeMetrics(this.#run.id),
      draft: checkpoints.length === 0 && endedAt - this.#run.createdAt < DRAFT_MS && ending.status !== 'completed',
    };
    sweepSession(directory, this.#context.log);
    await this.#outside.ended({ run: this.#run, exit, directory, session, forced: this.#forced });
    const { name, id, status, reason } = this.#run;
    const error = exit?.error ? fromWire(exitErrorToWire(exit.error)) : new TrainstashError('internal', reason, {});
    this.started.reject(error);
    const tooLate = `${name} ended before the checkpoint: ${reason || status}.`;
    this.#requests.reject(new TrainstashError('wrongStatus', tooLate, { run: id, status, allowed: ['running'] }));
  }

  /** It continues from there, and nobody said that it would give the same bits. */
  async #isOfAnotherBackend(checkpoint: string, { backend }: Record<string, string>): Promise<boolean> {
    const facts = await this.#context.store.checkpointFacts(checkpoint);
    const then = facts?.checkpoint?.environment.backend;
    return then !== undefined && backend !== undefined && then !== backend;
  }

  /** Compares steps done twice, once all that were recorded before have been done again, or the session is over. */
  async #compareOverlap(over: boolean): Promise<void> {
    const { resumedFrom, id, environment } = this.follower.session;
    // A script that keeps only its weights does other steps after a resume, and never said it would not.
    if (!this.#run.cooperative) return;
    if (this.#compared || !resumedFrom || this.#run.parent?.checkpoint === resumedFrom.checkpoint) return;
    if (await this.#isOfAnotherBackend(resumedFrom.checkpoint, environment)) return;
    const overlap = await this.#context.store.compareOverlap(id);
    if (overlap && this.#run.step < overlap.recordedUpTo && !over) return;
    this.#compared = true;
    if (!overlap || overlap.steps === 0) return;
    const proof = proofOf(overlap, environment);
    this.#context.announce.checkpoint(await this.#context.store.setProof(overlap.checkpoint, proof));
    const { firstDifferent } = overlap;
    if (firstDifferent) {
      const { step, metric, replayed, recorded } = firstDifferent;
      const [now, before] = [exactly(toWireNumber(replayed)), exactly(toWireNumber(recorded))];
      const text = `Computed again after the resume, step ${step} gave ${metric} ${now} instead of ${before}. \`trainstash verify\` tells whether state is missing or the device is not deterministic.`;
      // The script's package has said it before, and knows more.
      if (!this.#run.notices.some(({ code, at }) => code === 'notReproduced' && at >= this.follower.session.startedAt))
        await this.#say('notReproduced', 'warning', text);
    } else {
      await this.#say('verified', 'info', `${counted(overlap.equal, 'step')} computed twice gave the same bits.`);
    }
  }

  /** Lowers the grade of the run's other checkpoints, too: what a resume did not restore, they do not hold either. */
  async #onDiverged({ ingredient, text, t }: DivergedEvent): Promise<void> {
    const { resumedFrom } = this.follower.session;
    if (!resumedFrom || this.#run.parent?.checkpoint === resumedFrom.checkpoint) return;
    const lowered = await this.#context.store.doubt(resumedFrom.checkpoint, { ingredient, text, at: t });
    for (const checkpoint of lowered) this.#context.announce.checkpoint(checkpoint);
  }

  #say(code: string, level: Notice['level'], text: string): Promise<void> {
    return this.#notice({ code, level, text, step: this.#run.step, at: Date.now() });
  }

  async #notice(said: Notice): Promise<void> {
    const notice = { ...said, text: maskText(said.text) };
    this.#run = { ...this.#run, notices: [...this.#run.notices, notice].slice(-MAX_NOTICES) };
    this.#context.announce.notice(this.#run, notice);
    await this.#persist();
  }

  async #persist(): Promise<void> {
    this.#persistedAt = Date.now();
    await this.#context.store.putRun(this.#run);
    this.#context.announce.run(this.#run);
  }
}
