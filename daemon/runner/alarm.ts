/** Judges a command's health by its metrics: decides what is said, and whether it is to end. Knows nothing of processes. */
import { hasDiverged } from '../../protocol/numbers.ts';
import type { CheckpointFile, Launch } from '../../protocol/session.ts';
import { integer } from '../../protocol/words.ts';
import { DivergenceWatch } from '../sessions/divergence.ts';

export interface Warning {
  code: 'nan' | 'spike';
  level: 'warning' | 'error';
  text: string;
  /** The job wants it to pause; a script that saves by itself only can just be asked to end. */
  ends: boolean;
}

export class Alarm {
  readonly #launch: Launch;
  readonly #watch: DivergenceWatch;
  /** The step of the newest checkpoint that is not of a diverged state; null: there is none. */
  #good: number | null;
  #ended: string | null = null;

  constructor(launch: Launch) {
    this.#launch = launch;
    this.#watch = new DivergenceWatch(launch, []);
    this.#good = launch.resume?.step ?? null;
  }

  taken({ step, metrics }: Pick<CheckpointFile, 'step' | 'metrics'>): void {
    if (!hasDiverged(this.#launch.monitor, (metric) => metrics[metric])) this.#good = step;
  }

  /** Judges new values; null: there is nothing to say. */
  look(step: number, values: Readonly<Record<string, number>>): Warning | null {
    const found = this.#watch.look(step, values);
    if (!found) return null;
    const { code, what, isNews, pauses } = found;
    const ends = pauses && this.#ended === null;
    if (!isNews && !ends) return null;
    if (ends) this.#ended = what;
    const kept = this.#watch.diverged
      ? ' What it saves of this state is marked as diverged and takes the place of no good checkpoint.'
      : '';
    const option = code === 'nan' ? 'onNaN' : 'onSpike';
    const asked = ` The job has "${option}": "pause", so the script was asked to end; what it has saved is kept.`;
    return { code, level: code === 'nan' ? 'error' : 'warning', text: `${what}.${kept}${ends ? asked : ''}`, ends };
  }

  /** Tells why the command was asked to end, and what there is to go on from; empty: somebody else has asked. */
  reason(): string {
    if (this.#ended === null) return '';
    const good =
      this.#good === null
        ? 'no good checkpoint was saved before'
        : `its newest good checkpoint is of step ${integer(this.#good)}`;
    return `${this.#ended}; ${good}`;
  }
}
