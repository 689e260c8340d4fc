/** How far a script had come at which time, as far as it said so. */
import { reached } from '../sessions/reached.ts';

export interface Moment {
  step: number;
  /** Whether the script itself said a step; else the highest of the files that it saved. */
  counted: boolean;
  epoch: number;
  metrics: Record<string, number>;
}

const MAX_MOMENTS = 10_000;
/** What is printed before a file is saved may be read this much after it. */
const READ_LATE_MS = 100;

export class Progress {
  readonly #moments: (Moment & { time: number })[] = [];
  /** Steps at which each metric was told last. */
  readonly #told = new Map<string, number>();
  now: Moment;

  constructor(step: number) {
    this.now = { step, counted: false, epoch: 0, metrics: {} };
  }

  /** Takes in what it said; `step` or `epoch` null: it did not say. Returns the values of now, without evaluations of earlier steps. */
  said(
    time: number,
    step: number | null,
    epoch: number | null,
    values: Record<string, number>,
  ): Record<string, number> {
    const current = step === null ? values : this.#ofNow(step, values);
    const evaluates = Object.keys(current).length < Object.keys(values).length;
    this.now = {
      step: Math.max(this.now.step, step ?? 0),
      counted: this.now.counted || step !== null,
      epoch: (evaluates ? null : epoch) ?? this.now.epoch,
      metrics: { ...this.now.metrics, ...current },
    };
    this.#moments.push({ time, ...this.now });
    if (this.#moments.length > MAX_MOMENTS) this.#moments.splice(0, MAX_MOMENTS / 2);
    return current;
  }

  /**
   * Drops metrics that go back while others stay: they say nothing of what is saved now. One that is merely behind others
   * does, since event files are read later than lines.
   */
  #ofNow(step: number, values: Record<string, number>): Record<string, number> {
    const back = Object.keys(values).filter((name) => step < (this.#told.get(name) ?? step));
    for (const name of Object.keys(values)) this.#told.set(name, step);
    if (back.length === 0 || step >= reached(this.#told, step)) return values;
    return Object.fromEntries(Object.entries(values).filter(([name]) => !back.includes(name)));
  }

  /** By a file that it saved: the steps of others cannot be known from that. */
  reached(step: number, epoch: number): void {
    this.now = { ...this.now, step: Math.max(this.now.step, step), epoch: Math.max(this.now.epoch, epoch) };
  }

  /** Tells how it was when a file got its time; one that names its step or epoch was saved at that. */
  at(time: number, inEpoch: number | null, atStep: number | null = null): Moment {
    const named =
      this.#moments.findLast((moment) => moment.counted && moment.step === atStep) ??
      this.#moments.findLast((moment) => moment.epoch === inEpoch);
    const { step, counted, epoch, metrics } = named ??
      this.#moments.findLast((moment) => moment.time <= time + READ_LATE_MS) ?? {
        ...this.now,
        ...(this.#moments.length > 0 ? { metrics: {}, epoch: 0, step: 0 } : {}),
      };
    return { step: counted ? step : this.now.step, counted, epoch, metrics };
  }
}
