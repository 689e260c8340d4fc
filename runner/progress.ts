/** Tracks a script's progress over time, as far as the script reports it. */

export interface Moment {
  step: number;
  epoch: number;
  metrics: Record<string, number>;
}

interface TimedMoment extends Moment {
  time: number;
}

const MAX_MOMENTS = 10_000;
/** A line printed before a file is saved may be read this much after it. */
const READ_LATE_MS = 100;
/** A metric absent from this many lines belongs to a loop that is over. */
const FORGOTTEN_AFTER_LINES = 200;

export class Progress {
  readonly #moments: TimedMoment[] = [];
  /** The record of each metric: how often its step rose, its last step, and its last line. */
  readonly #metrics = new Map<string, { times: number; step: number; line: number }>();
  #lines = 0;
  now: Moment;
  /** True if the script reports steps; otherwise only its files state them. */
  counted = false;
  /** True if some file stated its own step. */
  labelled = false;
  /** The first epoch that was reported; null: none yet. */
  firstEpoch: number | null = null;
  #reached = 0;

  /** `step`: the step that the session resumes at. Steps that the script reports take precedence. */
  constructor(step: number) {
    this.now = { step, epoch: 0, metrics: {} };
  }

  /**
   * Records a report; `step` or `epoch` null: not stated. Returns the values that describe the present. A metric that
   * goes back while the script is further on evaluates an earlier checkpoint, and does not describe what is saved now.
   * A metric that merely lags does, since event files are read later than lines.
   */
  record(
    time: number,
    step: number | null,
    epoch: number | null,
    values: Record<string, number>,
  ): Record<string, number> {
    const back = step === null ? [] : this.#goingBack(step, Object.keys(values));
    const main = step === null ? this.now.step : this.#mainAfter(step, Object.keys(values));
    const isOfNow = step === null || step >= main;
    const current = isOfNow
      ? values
      : Object.fromEntries(Object.entries(values).filter(([name]) => !back.includes(name)));
    this.counted ||= step !== null;
    this.firstEpoch ??= epoch;
    this.now = {
      step: isOfNow ? (step ?? this.now.step) : main,
      epoch: (isOfNow ? epoch : null) ?? this.now.epoch,
      metrics: { ...this.now.metrics, ...current },
    };
    this.#moments.push({ time, ...this.now });
    if (this.#moments.length > MAX_MOMENTS) this.#moments.splice(0, MAX_MOMENTS / 2);
    return current;
  }

  #goingBack(step: number, names: readonly string[]): string[] {
    return names.filter((name) => step < (this.#metrics.get(name)?.step ?? step));
  }

  /**
   * Returns the last step of the main metric, the one reported most often. It falls when a loop starts again, and stays
   * while other metrics evaluate earlier checkpoints.
   */
  #mainAfter(step: number, names: readonly string[]): number {
    const line = ++this.#lines;
    // A line without metrics reports the step itself.
    for (const name of names.length > 0 ? names : ['']) {
      const { times, step: last } = this.#metrics.get(name) ?? { times: 0, step };
      // Metrics that go back are evaluations, however frequent.
      this.#metrics.set(name, { times: times + (step < last ? 0 : 1), step, line });
    }
    for (const [name, last] of this.#metrics) if (last.line + FORGOTTEN_AFTER_LINES < line) this.#metrics.delete(name);
    const [main] = [...this.#metrics.values()].sort((a, b) => b.times - a.times || b.step - a.step);
    return main?.step ?? step;
  }

  /**
   * Records the step of a saved file; the steps of other files cannot be derived from it. `own`: the file itself stated
   * it.
   */
  recordFile({ step, epoch }: Pick<Moment, 'step' | 'epoch'>, own: boolean): void {
    this.labelled ||= own;
    this.#reached = Math.max(this.#reached, step);
    this.now = { ...this.now, step: Math.max(this.now.step, step), epoch: Math.max(this.now.epoch, epoch) };
  }

  /** Returns the step that a line of metrics belongs to. If nothing counts steps, epochs do. */
  placeOf(step: number | null, epoch: number | null): number {
    if (step !== null) return step;
    return this.counted || epoch === null ? this.now.step : Math.max(this.#reached, epoch);
  }

  /** Returns the moment at which that step was reported; null: never, or later than `until`. */
  ofStep(step: number, until: number): Moment | null {
    if (!this.counted) return null;
    return this.#moments.findLast((moment) => moment.step === step && moment.time <= until) ?? null;
  }

  /** Returns the moment at which a file was written; null: nothing had been reported yet. */
  before(time: number): Moment | null {
    return this.#moments.findLast((moment) => moment.time <= time + READ_LATE_MS) ?? null;
  }

  /** Returns the next report after that time, if it came within the limit. */
  soonAfter(time: number, withinMs: number): Moment | null {
    const next = this.#moments.find((moment) => moment.time > time + READ_LATE_MS);
    return next && next.time <= time + withinMs ? next : null;
  }

  /**
   * Returns the end of the epoch that a file of that time belongs to. Reports a little after the file, until `lateMs`,
   * count as well, unless there are so many that the file comes from the middle of its epoch.
   */
  ofEpoch(epoch: number, time: number, lateMs: number): { moment: Moment; isOver: boolean } | null {
    const all = this.#moments.filter((moment) => moment.epoch === epoch && moment.time <= time + lateMs);
    const before = all.filter((moment) => moment.time <= time + READ_LATE_MS);
    const isOfMiddle = before.length > 0 && all.length - before.length > before.length / 2;
    const moment = (isOfMiddle ? before : all).at(-1);
    return moment ? { moment, isOver: this.now.epoch > epoch } : null;
  }

  /**
   * Finds a report after that time, as from a launcher that passes lines on late. A step not beyond the current one
   * does not count, since a loop that starts again reports lower steps.
   */
  ofStepAfter(step: number, time: number, lateMs: number): Moment | null {
    if (step <= (this.before(time)?.step ?? -1)) return null;
    const isLate = (moment: TimedMoment) => moment.time > time && moment.time <= time + lateMs;
    return this.#moments.find((moment) => isLate(moment) && moment.step === step) ?? null;
  }
}
