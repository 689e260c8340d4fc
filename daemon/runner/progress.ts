/** How far a script had come at which time, as far as it said so. */

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
  now: Moment;

  constructor(step: number) {
    this.now = { step, counted: false, epoch: 0, metrics: {} };
  }

  /** `step` or `epoch` null: it did not say. */
  said(time: number, step: number | null, epoch: number | null, values: Record<string, number>): void {
    this.now = {
      step: Math.max(this.now.step, step ?? 0),
      counted: this.now.counted || step !== null,
      epoch: epoch ?? this.now.epoch,
      metrics: { ...this.now.metrics, ...values },
    };
    this.#moments.push({ time, ...this.now });
    if (this.#moments.length > MAX_MOMENTS) this.#moments.splice(0, MAX_MOMENTS / 2);
  }

  /** By a file that it saved: the steps of others cannot be known from that. */
  reached(step: number, epoch: number): void {
    this.now = { ...this.now, step: Math.max(this.now.step, step), epoch: Math.max(this.now.epoch, epoch) };
  }

  /** As it was when a file got its time; one that names its epoch was saved in that epoch. */
  at(time: number, inEpoch: number | null): Moment {
    const ofEpoch = inEpoch === null ? undefined : this.#moments.findLast((moment) => moment.epoch === inEpoch);
    const { step, counted, epoch, metrics } = ofEpoch ??
      this.#moments.findLast((moment) => moment.time <= time + READ_LATE_MS) ?? {
        ...this.now,
        ...(this.#moments.length > 0 ? { metrics: {}, epoch: 0, step: 0 } : {}),
      };
    return { step: counted ? step : this.now.step, counted, epoch, metrics };
  }
}
