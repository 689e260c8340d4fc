/** A run while one of its sessions lives: what it reports becomes the run's record, until it has ended. */
import { rmSync } from 'node:fs';
import type { Checkpoint, Notice, Params, Run, Session } from '../../protocol/domain.ts';
import { fromWire, TrainstashError } from '../../protocol/errors.ts';
import {
  type CheckpointFile,
  type DivergedEvent,
  type ExitRecord,
  exitErrorToWire,
  type Launch,
} from '../../protocol/session.ts';
import { OWN_FOLDER, type SessionDirectory } from '../sessions/directory.ts';
import { signalRunner } from '../sessions/watch.ts';
import type { TakenEvents } from '../store/events.ts';
import type { KeepPolicy } from '../store/retention.ts';
import type { ProjectContext } from './context.ts';
import { type Deferred, deferred } from './deferred.ts';
import { etaSeconds, type Pace } from './eta.ts';
import { Follower } from './follower.ts';
import { labelOf } from './naming.ts';
import { proofOf } from './proof.ts';
import type { PutBack } from './put-back.ts';

const PERSIST_MS = 2_000;
const DRAFT_MS = 60_000;
const MAX_NOTICES = 20;
/** A request for a checkpoint that was answered comes with the inbox; without one after this long it has failed. */
const REQUEST_GRACE_MS = 30_000;

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
  readonly #outside: Outside;
  #wroteFiles = false;
  #run: Run;
  #pace: Pace | null = null;
  #persistedAt = 0;
  #compared = false;
  /** What the script itself wants to be kept, where its job says nothing. */
  #keep: Launch['keep'] | null = null;
  #forced = false;
  #requests: { seq: number; done: Deferred<Checkpoint> }[] = [];

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
    this.#outside = outside;
    this.follower = new Follower({
      store: context.store,
      directory,
      session,
      sources: launch.command ? ['runnerEvents', 'events'] : ['events'],
      run: () => this.#run,
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

  get launch(): Launch {
    return this.#launch;
  }

  /** By path, into the project: a switch of the branch waits for it. */
  get writesFiles(): boolean {
    return this.#launch.files.length > 0 || this.#wroteFiles;
  }

  /** Asks the trainer for something at its next step boundary. */
  request(body: { pause?: true; stop?: true; checkpoint?: true }): number {
    const { directory } = this.follower;
    const seq = (directory.control()?.seq ?? 0) + 1;
    directory.writeControl({ seq, ...body });
    return seq;
  }

  requestCheckpoint(): Promise<Checkpoint> {
    const done = deferred<Checkpoint>();
    this.#requests.push({ seq: this.request({ checkpoint: true }), done });
    return done.promise;
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

  /** What was done with the files of a script that is to go on from them. */
  async saidPutBack({ restored, changed }: PutBack): Promise<void> {
    if (restored.length > 0)
      await this.#say(
        'putBack',
        'info',
        `${listed(restored)} had gone and ${restored.length === 1 ? 'is' : 'are'} back.`,
      );
    if (changed.length > 0)
      await this.#say(
        'putBack',
        'warning',
        `${listed(changed)} in the project ${changed.length === 1 ? 'is' : 'are'} not what the checkpoint holds and stayed; the script was given the checkpoint's own.`,
      );
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
    this.#rejectRequests(
      () => true,
      new TrainstashError('daemonUnavailable', 'The daemon ended. The training goes on.', { reason: 'ended' }),
    );
  }

  // ---- what the follower reports ----

  async #onEvents(taken: TakenEvents): Promise<void> {
    const { started, last } = taken;
    if (started) await this.#onStarted(started);
    if (taken.plan) {
      const { totalSteps, stepsPerEpoch } = taken.plan;
      this.#run = { ...this.#run, totalSteps, stepsPerEpoch };
    }
    if (last) {
      const { step, epoch, t, values } = last;
      this.#run = { ...this.#run, step, epoch, metrics: withValues(this.#run, step, values) };
      if (this.#pace) this.#run = { ...this.#run, etaSeconds: etaSeconds(this.#pace, step, t, this.#run.totalSteps) };
      this.#context.announce.metrics(this.#run, step, values);
    }
    for (const { code, level, text, step, t } of taken.notices) await this.#notice({ code, level, text, step, at: t });
    if (taken.diverged) await this.#onDiverged(taken.diverged);
    if (taken.malformed > 0) {
      const text = `${taken.malformed} lines of its event file are no events and were skipped.`;
      await this.#say('eventMalformed', 'warning', text);
    }
    if (taken.answered !== null) this.#onAnswered(taken.answered);
    await this.#compareOverlap(false);
    if (Date.now() - this.#persistedAt > PERSIST_MS) await this.#persist();
    else this.#context.announce.run(this.#run);
    if (started) this.started.resolve();
  }

  async #onStarted(started: NonNullable<TakenEvents['started']>): Promise<void> {
    const { store } = this.#context;
    const { session } = this.follower;
    const run = this.#run;
    this.#pace = { startStep: started.step, startedAt: started.t };
    this.#keep = this.#launch.stated.includes('keep') ? null : (started.keep ?? null);
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
      params: started.params as Params,
      label: labelOf(started.params as Params, previous?.params),
      backend: started.environment.backend ?? run.backend,
      // After a resume the curve is another one: what comes after its checkpoint is hidden.
      metrics: session.ordinal > 1 || run.parent ? await store.summarizeMetrics(run.id) : run.metrics,
    };
    session.environment = { ...session.environment, ...started.environment };
    await store.putSession(session);
    this.#persistedAt = 0;
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
    const keep = this.#keep ?? this.#launch.keep;
    const trashed = await store.applyRetention(this.#run.id, keepPolicy(this.#run, { ...this.#launch, keep }));
    for (const old of trashed) announce.checkpoint(old);
    if (over || pruned.length > 0) {
      const still = over ? ', and it is still above it' : '';
      const text = `The store is at its quota: ${pruned.length} older automatic checkpoints were deleted${still}. \`trainstash where\` shows sizes; \`trainstash rm\` and \`gc --empty-trash\` make room.`;
      await this.#say('quota', 'warning', text);
    }
    const { id, step, grade } = checkpoint;
    await this.update({
      checkpoints: (await store.checkpoints(this.#run.id)).length,
      lastCheckpoint: { id, step, grade },
    });
    if (!checkpoint.reasons.includes('request')) return;
    for (const { done } of this.#requests) done.resolve(checkpoint);
    this.#requests = [];
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
    const newest = checkpoints.at(-1) ?? null;
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
      lastCheckpoint: newest && { id: newest.id, step: newest.step, grade: newest.grade },
      metrics: await store.summarizeMetrics(this.#run.id),
      draft: checkpoints.length === 0 && endedAt - this.#run.createdAt < DRAFT_MS && ending.status !== 'completed',
    };
    rmSync(directory.file('restore'), { recursive: true, force: true });
    await this.#outside.ended({ run: this.#run, exit, directory, session, forced: this.#forced });
    const { name, id, status, reason } = this.#run;
    this.started.reject(
      exit?.error ? fromWire(exitErrorToWire(exit.error)) : new TrainstashError('internal', reason, {}),
    );
    const tooLate = `${name} ended before the checkpoint: ${reason || status}.`;
    this.#rejectRequests(
      () => true,
      new TrainstashError('wrongStatus', tooLate, { run: id, status, allowed: ['running'] }),
    );
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
      const text = `Computed again after the resume, step ${step} gave ${metric} ${replayed} instead of ${recorded}. \`trainstash verify\` tells whether state is missing or the device is not deterministic.`;
      // The script's package has said it before, and knows more.
      if (!this.#run.notices.some(({ code, at }) => code === 'notReproduced' && at >= this.follower.session.startedAt))
        await this.#say('notReproduced', 'warning', text);
    } else {
      await this.#say('verified', 'info', `${overlap.equal} steps computed twice gave the same bits.`);
    }
  }

  /** What a resume did not restore, other checkpoints of the run do not hold either. */
  async #onDiverged({ ingredient, text, t }: DivergedEvent): Promise<void> {
    const { resumedFrom } = this.follower.session;
    if (!resumedFrom || this.#run.parent?.checkpoint === resumedFrom.checkpoint) return;
    const lowered = await this.#context.store.doubt(resumedFrom.checkpoint, { ingredient, text, at: t });
    for (const checkpoint of lowered) this.#context.announce.checkpoint(checkpoint);
  }

  #onAnswered(seq: number): void {
    const failed = new TrainstashError(
      'storeFull',
      'The checkpoint could not be written; the training goes on and earlier checkpoints are untouched.',
      { neededBytes: 0, freeBytes: 0 },
    );
    setTimeout(() => this.#rejectRequests((request) => request.seq <= seq, failed), REQUEST_GRACE_MS).unref();
  }

  #rejectRequests(which: (request: { seq: number }) => boolean, error: TrainstashError): void {
    for (const request of this.#requests.filter(which)) request.done.reject(error);
    this.#requests = this.#requests.filter((request) => !which(request));
  }

  #say(code: string, level: Notice['level'], text: string): Promise<void> {
    return this.#notice({ code, level, text, step: this.#run.step, at: Date.now() });
  }

  async #notice(notice: Notice): Promise<void> {
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

function listed(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')} and ${names.length - 2} more files`;
}

export function keepPolicy(run: Run, launch: Pick<Launch, 'keep' | 'monitor'> | null): KeepPolicy {
  return {
    last: launch?.keep.last ?? 3,
    every: launch?.keep.every ?? null,
    monitor: run.monitor ?? launch?.monitor ?? null,
  };
}

function endingOf(
  run: Run,
  exit: ExitRecord | null,
  forced: boolean,
  newest: Checkpoint | null,
): Pick<Run, 'status' | 'reason'> {
  if (exit) return { status: exit.outcome, reason: exit.reason };
  const kept = newest ? `its newest checkpoint is of step ${newest.step}` : 'it had no checkpoint yet';
  if (forced) return { status: 'stopped', reason: `killed by request; ${kept}` };
  const reason = `its process ended at step ${run.step} without a word (killed, or out of memory?); ${kept}`;
  return { status: 'lost', reason };
}

/** The summaries with the newest values in them; exact ones are computed when the run has ended. */
function withValues(run: Run, step: number, values: Record<string, number>): Run['metrics'] {
  const metrics = { ...run.metrics };
  for (const [name, value] of Object.entries(values)) {
    const known = metrics[name];
    const lower = !known || value < known.min;
    const higher = !known || value > known.max;
    metrics[name] = {
      last: value,
      lastStep: step,
      min: lower ? value : known.min,
      minStep: lower ? step : known.minStep,
      max: higher ? value : known.max,
      maxStep: higher ? step : known.maxStep,
      count: (known?.count ?? 0) + 1,
    };
  }
  return metrics;
}
