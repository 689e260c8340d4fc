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
  /** By metric, the step that it was told of last. */
  readonly #told = new Map<string, number>();
  now: Moment;

  constructor(step: number) {
    this.now = { step, counted: false, epoch: 0, metrics: {} };
  }

  /**
   * `step` or `epoch` null: it did not say. Returns false where it told of an earlier step than it stands at: that is an
   * evaluation of an earlier checkpoint, and says nothing of what it saves now.
   */
  said(time: number, step: number | null, epoch: number | null, values: Record<string, number>): boolean {
    if (step !== null) for (const name of Object.keys(values)) this.#told.set(name, step);
    const isOfNow = step === null || step >= reached(this.#told, step);
    this.now = {
      step: Math.max(this.now.step, step ?? 0),
      counted: this.now.counted || step !== null,
      epoch: (isOfNow ? epoch : null) ?? this.now.epoch,
      metrics: isOfNow ? { ...this.now.metrics, ...values } : this.now.metrics,
    };
    this.#moments.push({ time, ...this.now });
    if (this.#moments.length > MAX_MOMENTS) this.#moments.splice(0, MAX_MOMENTS / 2);
    return isOfNow;
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
