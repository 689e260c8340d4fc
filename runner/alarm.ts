/**
 * Judges a command's health by its metrics: decides which warnings to give, and whether to end the command. Handles no
 * processes.
 */
import { hasDiverged } from '../protocol/numbers.ts';
import type { CheckpointFile, ExitRecord, Launch } from '../protocol/session.ts';
import { integer } from '../protocol/words.ts';
import { DivergenceWatch } from '../session/divergence.ts';

export interface Warning {
  code: 'nan' | 'spike';
  level: 'warning' | 'error';
  text: string;
  /** True if the job's settings demand a pause; a script that only saves by itself can merely be asked to end. */
  ends: boolean;
}

type Trouble = NonNullable<ExitRecord['trouble']>;

export class Alarm {
  readonly #launch: Launch;
  readonly #watch: DivergenceWatch;
  /** The step of the newest checkpoint whose state has not diverged; null: there is none. */
  #good: number | null;
  #ended: Trouble | null = null;

  constructor(launch: Launch) {
    this.#launch = launch;
    this.#watch = new DivergenceWatch(launch, []);
    this.#good = launch.resume?.step ?? null;
  }

  recordCheckpoint({ step, metrics }: Pick<CheckpointFile, 'step' | 'metrics'>): void {
    if (!hasDiverged(this.#launch.monitor, (metric) => metrics[metric])) this.#good = step;
  }

  /** Judges new values; null: no warning. */
  look(step: number, values: Readonly<Record<string, number>>): Warning | null {
    const found = this.#watch.look(step, values);
    if (!found) return null;
    const { code, what, isNews, pauses } = found;
    const ends = pauses && this.#ended === null;
    if (!isNews && !ends) return null;
    if (ends) this.#ended = { code, step, what };
    const kept = this.#watch.diverged
      ? ' Checkpoints of this state are marked as diverged and never replace a good one.'
      : '';
    const option = code === 'nan' ? 'onNaN' : 'onSpike';
    const why = this.#launch.rollback[code] ? 'a rollback' : '"pause"';
    const request = ` The job has "${option}": ${why}, so the script was asked to end; its saved checkpoints are kept.`;
    return { code, level: code === 'nan' ? 'error' : 'warning', text: `${what}.${kept}${ends ? request : ''}`, ends };
  }

  /** Finding for which the command was asked to end; null: the alarm did not ask. */
  get trouble(): Trouble | null {
    return this.#ended;
  }

  /**
   * Explains why the command was asked to end, and which checkpoint a resume can start from; empty: the alarm did not
   * ask.
   */
  reason(): string {
    if (this.#ended === null) return '';
    const good =
      this.#good === null
        ? 'no good checkpoint was saved before'
        : `its newest good checkpoint is at step ${integer(this.#good)}`;
    return `${this.#ended.what}; ${good}`;
  }
}
