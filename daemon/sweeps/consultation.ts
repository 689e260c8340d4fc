/** Tells Optuna what the runs of a sweep reach, and asks it what to do. The memory here only saves repetitions. */
import type { MetricSeries, Params } from '../../protocol/domain.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import { objectiveOf, type SweepPlan } from '../../protocol/sweep.ts';
import type { Study } from './optuna.ts';
import { metricOf } from './plan.ts';
import { pointsToReport, stateOf, type TrialRun } from './trials.ts';

export interface ConsultationSetup {
  plan: SweepPlan;
  makeStudy(): Study;
  /** Reads the values of a run's metric after a step. */
  curve(run: string, metric: string, after: number): Promise<MetricSeries | undefined>;
}

export class Consultation {
  readonly #setup: ConsultationSetup;
  #study: Study | null = null;
  /** Steps up to which values were reported, by trial. */
  readonly #reported = new Map<number, number>();
  /** Trials that are to end early, until one of them may go on. */
  readonly #givenUp = new Set<number>();
  readonly #told = new Set<number>();

  constructor(setup: ConsultationSetup) {
    this.#setup = setup;
  }

  /** Ends Optuna's process; the next call starts another one. */
  close(): void {
    this.#study?.close();
    this.#study = null;
  }

  /** Reports the runs' values and ends. Returns the live runs that are to end early. */
  async heed(runs: readonly TrialRun[]): Promise<TrialRun[]> {
    const monitor = metricOf(this.#setup.plan, runs);
    const givenUp: TrialRun[] = [];
    for (const run of runs) {
      const state = stateOf(run);
      const { trial, mark } = run.sweep;
      if (this.#told.has(trial)) continue;
      if (state === 'live' || state === 'completed') {
        const ends = await this.report(run);
        if (ends && state === 'live' && mark === undefined && this.#hasSaved(run)) givenUp.push(run);
      }
      const value = objectiveOf(run, monitor);
      if (state === 'completed') await this.#tell(trial, value === null ? 'FAIL' : 'COMPLETE', value);
      if (state === 'failed') await this.#tell(trial, 'FAIL', null);
    }
    return givenUp;
  }

  /** Tells whether an end now loses nothing: a script that saves by itself has saved at the step that gave it up, or later. */
  #hasSaved({ cooperative, lastCheckpoint, sweep }: TrialRun): boolean {
    return cooperative || (lastCheckpoint?.step ?? 0) >= (this.#reported.get(sweep.trial) ?? 0);
  }

  /** Reports new values of a run. Returns true if it is to end early. */
  async report(run: TrialRun): Promise<boolean> {
    const { plan, curve } = this.#setup;
    const { trial } = run.sweep;
    const monitor = metricOf(plan, [run]);
    if (!plan.pruner || !monitor) return false;
    if (this.#givenUp.has(trial)) return true;
    const from = this.#reported.get(trial) ?? 0;
    const series = await curve(run.id, monitor.metric, from);
    const values = (series?.values ?? []).map(fromWireNumber);
    const points = pointsToReport(series?.steps ?? [], values, from, plan.pruner);
    if (points.length === 0) return false;
    const { prune, step } = await this.#optuna.report(trial, points);
    this.#reported.set(trial, step ?? points.at(-1)![0]);
    if (prune) this.#givenUp.add(trial);
    return prune;
  }

  /** Draws the params of the next trial. `begun`: trials that have, or once had, a run. */
  draw(begun: ReadonlySet<number>, runs: readonly TrialRun[]): Promise<{ trial: number; params: Params }> {
    const paused = runs.filter((run) => stateOf(run) === 'pruned').map(({ sweep }) => sweep.trial);
    return this.#optuna.draw([...begun], paused);
  }

  /** Chooses the run that was ended early and may go on first; undefined: none. `final`: no new ones follow. */
  async chooseToGoOn(paused: readonly TrialRun[], final: boolean): Promise<TrialRun | undefined> {
    const trials = paused.map(({ sweep }) => sweep.trial);
    for (const trial of await this.#optuna.promotable(trials, final)) {
      this.#givenUp.delete(trial);
      const run = paused.find(({ sweep }) => sweep.trial === trial)!;
      // It may have trained past the next rung before it had ended.
      if (!(await this.report(run))) return run;
    }
    return undefined;
  }

  /** Tells Optuna that nothing follows. */
  async end(runs: readonly TrialRun[]): Promise<void> {
    for (const { sweep } of runs) if (!this.#told.has(sweep.trial)) await this.#tell(sweep.trial, 'PRUNED', null);
  }

  async #tell(trial: number, state: 'COMPLETE' | 'PRUNED' | 'FAIL', value: number | null): Promise<void> {
    await this.#optuna.tell(trial, state, value);
    this.#told.add(trial);
  }

  get #optuna(): Study {
    this.#study ??= this.#setup.makeStudy();
    return this.#study;
  }
}
