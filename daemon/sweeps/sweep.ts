/**
 * One sweep while its project is open. Each look decides anew from the record, the runs and Optuna's journal, so that a daemon that
 * dies at any moment is followed by one that goes on. A run says itself whose trial it is, so none is made twice.
 */
import type { Params, Run } from '../../protocol/domain.ts';
import { HERE_NAME } from '../../protocol/engines.ts';
import { isError } from '../../protocol/errors.ts';
import type { RunSweep, SweepRecord, SweepState, SweepSummary } from '../../protocol/sweep.ts';
import { integer } from '../../protocol/words.ts';
import { findJob, readConfig } from '../runs/config.ts';
import type { Environment } from '../runs/launch/environments.ts';
import type { Trial } from '../runs/launch/trials.ts';
import type { OpenProject } from '../runs/project.ts';
import { Consultation } from './consultation.ts';
import type { Study } from './optuna.ts';
import { hasRoom, sizeOfNext } from './pace.ts';
import { metricOf, withSeed } from './plan.ts';
import { paramsOfTrial } from './space.ts';
import { endText, failuresOf, isTrial, stateOf, summaryOf, type TrialRun, troubleOf } from './trials.ts';

/** Delay by which the many reports of a run cause one look. */
const LOOK_DELAY_MS = 200;
/** Restarts of a run that is lost without progress, one after the other. */
const MOST_LOST = 3;

export interface SweepParts {
  project: OpenProject;
  write(record: SweepRecord): void;
  /** Makes the study of a sweep that Optuna draws for. */
  study(record: SweepRecord, environment: Environment | undefined): Study;
  /** Runs without a device of their own that may train at once. */
  width(): number;
  announce(summary: SweepSummary): void;
  log(text: string): void;
}

export class Sweep {
  readonly #parts: SweepParts;
  #record: SweepRecord;
  /** Environment of the request that started or resumed it; the values exist only here. */
  #environment: Environment | undefined;
  readonly #optuna: Consultation;
  #looking: Promise<void> | null = null;
  #again = false;
  #timer: NodeJS.Timeout | null = null;
  #closed = false;
  #announced = '';

  constructor(parts: SweepParts, record: SweepRecord, environment?: Environment) {
    this.#parts = parts;
    this.#record = record;
    this.#environment = environment;
    const { store } = parts.project;
    this.#optuna = new Consultation({
      plan: record.plan,
      makeStudy: () => parts.study(this.#record, this.#environment),
      curve: async (run, metric, after) =>
        (await store.queryMetrics(run, { names: [metric], fromStep: after, buckets: 0 }))[0],
    });
  }

  get record(): SweepRecord {
    return this.#record;
  }

  /** Keeps the daemon there: between two runs nothing else does. */
  get busy(): boolean {
    return this.#record.state === 'running' || this.#looking !== null;
  }

  close(): void {
    this.#closed = true;
    if (this.#timer) clearTimeout(this.#timer);
    this.#optuna.close();
  }

  /** Hears that something about one of its runs has changed. */
  changed(): void {
    if (this.#closed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.look();
    }, LOOK_DELAY_MS);
    this.#timer.unref();
  }

  /** Looks at its runs and does what is due, once more after the look under way. */
  look(): Promise<void> {
    if (this.#looking) {
      this.#again = true;
      return this.#looking;
    }
    this.#looking = this.#lookAll().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  /** Lists its runs, with newer records from memory. */
  async runs(): Promise<TrialRun[]> {
    const { runs, store } = this.#parts.project;
    const live = new Map(runs.liveRuns().map((run) => [run.id, run]));
    return (await store.runsOfSweep(this.#record.id)).map((run) => live.get(run.id) ?? run).filter(isTrial);
  }

  async summary(): Promise<SweepSummary> {
    const runs = await this.runs();
    return summaryOf(this.#record, runs, metricOf(this.#record.plan, runs));
  }

  /**
   * Starts the first run at once if its devices are free, so that a wrong param is an error of the request. An engine's refusal is one
   * as well.
   */
  async startFirst(environment: Environment): Promise<void> {
    const { project } = this.#parts;
    const { job, root, gpu, priority, backend, engine } = this.#record;
    if (engine !== undefined) {
      await this.#startNew([], []);
      return;
    }
    const first = await this.#draw(new Set(), []);
    await project.runs.start({
      ...{ job, root, gpu, priority, ...this.#trialOf(first), queue: true, engine: HERE_NAME },
      ...environment,
      ...(backend === '' ? {} : { backend }),
    });
    this.#note({ begun: first.trial + 1 });
  }

  /** Pauses, stops, or goes on. Durable before anything else is done. */
  async change(to: SweepState, environment?: Environment): Promise<void> {
    if (environment) {
      this.#environment = environment;
      // For runs that an earlier daemon has queued.
      this.#parts.project.runs.queued.offer(environment);
    }
    const runs = await this.runs();
    const seenFailures = failuresOf(this.#record, runs, metricOf(this.#record.plan, runs)).length;
    this.#note({ state: to, reason: '', ...(to === 'running' ? { seenFailures } : {}) });
    await this.#looking;
    await this.look();
  }

  async #lookAll(): Promise<void> {
    do {
      this.#again = false;
      try {
        await this.#lookOnce();
        await this.#tellPeople();
      } catch (error) {
        await this.#onError(error as Error);
      }
    } while (this.#again && !this.#closed);
  }

  async #lookOnce(): Promise<void> {
    const before = await this.runs();
    const { state, plan } = this.#record;
    for (const run of before) await this.#bringToEnd(run);
    if (state !== 'running') {
      // What is learnt while it is paused is told when it goes on.
      this.#optuna.close();
      return;
    }
    for (const run of before) await this.#goOnIfItShould(run);
    // Those that go on are no failures, of the sweep or for Optuna.
    const runs = await this.runs();
    const monitor = metricOf(plan, runs);
    const trouble = troubleOf(this.#record, runs, monitor);
    if (trouble !== null) return this.#stopWith('paused', trouble);
    if (plan.sampler === 'optuna')
      for (const run of await this.#optuna.heed(runs)) if (!run.sweep.apart) await this.#pause(run, 'pruned', true);
    await this.#startMore();
  }

  /** Ends runs that are live although the sweep has decided otherwise: in this look, or before a daemon died. */
  async #bringToEnd(run: TrialRun): Promise<void> {
    const state = stateOf(run);
    if ((state !== 'live' && state !== 'queued') || run.sweep.apart) return;
    const wanted = this.#record.state;
    if (wanted === 'stopped') await this.#stop(run);
    else if (wanted === 'paused' && run.sweep.mark !== 'pruned') await this.#pause(run, 'held', false);
    else if (run.sweep.mark === 'pruned') await this.#pause(run, 'pruned', true);
  }

  /** Marks a run and asks it for a checkpoint and its end. `accept`: also one that cannot save on request. */
  async #pause(run: TrialRun, mark: NonNullable<RunSweep['mark']>, accept: boolean): Promise<void> {
    const { runs } = this.#parts.project;
    const mayPause = run.cooperative || run.status === 'queued' || accept;
    if (!mayPause || run.status === 'pausing' || run.status === 'stopping') return;
    // Before it is asked: a daemon that dies in between must know whose pause it was.
    if (run.sweep.mark !== mark) await runs.change(run.id, { set: { sweep: { ...run.sweep, mark } } });
    if (run.status !== 'starting') await this.#asked(() => runs.requests.pause(run.id, accept));
  }

  async #stop(run: TrialRun): Promise<void> {
    const { runs } = this.#parts.project;
    if (run.status === 'stopping' || run.status === 'starting') return;
    // A sweep that was stopped can be resumed, with the runs that it had.
    if (run.sweep.mark === undefined) await runs.change(run.id, { set: { sweep: { ...run.sweep, mark: 'held' } } });
    await this.#asked(() => runs.requests.stop(run.id, false));
  }

  /** Makes a request to a run that may have ended by itself meanwhile. */
  async #asked(request: () => Promise<Run>): Promise<void> {
    await request().catch((error: unknown) => {
      if (!isError(error, 'wrongStatus') && !isError(error, 'pauseLoses')) throw error;
    });
  }

  /** Lets runs go on that were paused with the sweep, or lost with a trainer or a machine. */
  async #goOnIfItShould(run: TrialRun): Promise<void> {
    const { status, sweep, trashedAt } = run;
    if (trashedAt !== null) return;
    const { mark, ...unmarked } = sweep;
    if (status === 'running' && mark === 'held')
      await this.#parts.project.runs.change(run.id, { set: { sweep: { ...unmarked } } });
    if ((status === 'paused' || status === 'stopped') && mark === 'held') await this.#goOn(run, unmarked);
    if (status !== 'lost' || mark === 'pruned') return;
    const session = run.session ? await this.#parts.project.store.session(run.session) : undefined;
    const progressed = (run.lastCheckpoint?.step ?? 0) > (session?.resumedFrom?.step ?? 0);
    const lost = progressed ? 0 : (sweep.lost ?? 0) + 1;
    if (lost <= MOST_LOST) await this.#goOn(run, { ...unmarked, lost });
  }

  async #goOn(run: TrialRun, sweep: RunSweep): Promise<void> {
    await this.#parts.project.runs.trials.goOn(this.#record, run, sweep, this.#environment);
  }

  // ---- the next runs ----

  /** Starts runs as long as there is room for more. */
  async #startMore(): Promise<void> {
    for (;;) {
      const runs = await this.runs();
      const active = runs.filter((run) => ['live', 'queued'].includes(stateOf(run)));
      if (this.#record.state !== 'running' || this.#closed) return;
      if (!hasRoom(this.#record, active, this.#parts.width())) return;
      if (await this.#promote(runs, false)) continue;
      if (this.#isExhausted(runs)) {
        if (active.length > 0) return;
        if (await this.#promote(runs, true)) continue;
        return this.#finish(runs);
      }
      if (!(await this.#startNew(runs, active))) return;
    }
  }

  /** Draws the next runs and starts them. Returns false if they are still to wait. */
  async #startNew(runs: readonly TrialRun[], active: readonly TrialRun[]): Promise<boolean> {
    const begun = this.#begunTrials(runs);
    const left = this.#record.plan.runs - begun.size;
    const count = sizeOfNext(this.#record, active, left, this.#parts.width());
    const trials: Trial[] = [];
    while (trials.length < count) {
      const next = await this.#draw(begun, runs);
      begun.add(next.trial);
      trials.push(this.#trialOf(next));
    }
    if (!isFilled(trials)) return false;
    await this.#parts.project.runs.trials.add(this.#record, trials, this.#environment);
    const last = Math.max(...trials.map(({ sweep }) => sweep.trial));
    this.#note({ begun: Math.max(this.#record.begun, last + 1) });
    return true;
  }

  /** Numbers of trials that have, or once had, a run. */
  #begunTrials(runs: readonly TrialRun[]): Set<number> {
    const before = Array.from({ length: this.#record.begun }, (_, i) => i);
    return new Set([...before, ...runs.map(({ sweep }) => sweep.trial)]);
  }

  #isExhausted(runs: readonly TrialRun[]): boolean {
    return this.#begunTrials(runs).size >= this.#record.plan.runs;
  }

  #draw(begun: ReadonlySet<number>, runs: readonly TrialRun[]): Promise<{ trial: number; params: Params }> {
    const { plan } = this.#record;
    if (plan.sampler === 'optuna') return this.#optuna.draw(begun, runs);
    let trial = 0;
    while (begun.has(trial)) trial++;
    return Promise.resolve({ trial, params: paramsOfTrial(plan, trial) });
  }

  #trialOf({ trial, params }: { trial: number; params: Params }): Trial {
    const { id, number, job, root, plan } = this.#record;
    return { ...withSeed({ ...plan.fixed, ...params }, findJob(readConfig(root), job)), sweep: { id, number, trial } };
  }

  /** Lets a run go on that was ended early and is among the best by now. Returns false if there is none. */
  async #promote(runs: readonly TrialRun[], final: boolean): Promise<boolean> {
    const { pruner } = this.#record.plan;
    if (!pruner || pruner.kind === 'median') return false;
    const { resume, module } = findJob(readConfig(this.#record.root), this.#record.job);
    // A script that would begin again has nothing to go on with.
    const paused = runs.filter(
      (run) =>
        stateOf(run) === 'pruned' &&
        run.lastCheckpoint &&
        (run.cooperative || resume !== undefined || module !== undefined),
    );
    const run = paused.length > 0 ? await this.#optuna.chooseToGoOn(paused, final) : undefined;
    if (!run) return false;
    const { mark, apart, ...sweep } = run.sweep;
    await this.#goOn(run, sweep);
    return true;
  }

  async #finish(runs: readonly TrialRun[]): Promise<void> {
    if (this.#record.plan.sampler === 'optuna') await this.#optuna.end(runs);
    this.#stopWith('finished', endText(summaryOf(this.#record, runs, metricOf(this.#record.plan, runs))));
  }

  #stopWith(state: SweepState, reason: string): void {
    this.#note({ state, reason });
    this.#optuna.close();
    // Its live runs, if any, pause as well.
    if (state === 'paused') this.#again = true;
  }

  /** Changes the record. Durable before it returns. */
  #note(patch: Partial<SweepRecord>): void {
    const changed = { ...this.#record, ...patch };
    this.#parts.write(changed);
    this.#record = changed;
  }

  async #tellPeople(): Promise<void> {
    const runs = await this.runs();
    for (const run of runs) await this.#explain(run);
    const summary = summaryOf(this.#record, runs, metricOf(this.#record.plan, runs));
    const text = JSON.stringify(summary);
    if (text === this.#announced || this.#closed) return;
    this.#announced = text;
    this.#parts.announce(summary);
  }

  /** Says of a run that was ended early why it was. */
  async #explain(run: TrialRun): Promise<void> {
    if (stateOf(run) !== 'pruned' || run.reason) return;
    const { pruner } = this.#record.plan;
    const reason = `sweep ${run.sweep.number} ended it early at step ${integer(run.step)} (${pruner?.kind ?? 'rule'}); it goes on if it is among the best later`;
    const set = { reason: pruner?.kind === 'median' ? reason.split(';')[0]! : reason };
    await this.#parts.project.runs.changeIf(run.id, { status: run.status, reason: run.reason }, { set });
  }

  async #onError(error: Error): Promise<void> {
    if (this.#closed) return;
    this.#parts.log(`sweep ${this.#record.number}: ${error.stack}`);
    const next = `\`trainstash sweep resume ${this.#record.number}\` goes on.`;
    if (this.#record.state === 'running')
      this.#note({ state: 'paused', reason: `${error.message.replace(/\.?$/, '.')} ${next}` });
    this.#optuna.close();
    await this.#tellPeople().catch(() => {});
  }
}

function isFilled<T>(list: readonly T[]): list is readonly [T, ...T[]] {
  return list.length > 0;
}
