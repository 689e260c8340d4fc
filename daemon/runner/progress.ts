/** How far a script had come at which time, as far as it said so. */

export interface Moment {
  step: number;
  epoch: number;
  metrics: Record<string, number>;
}

interface SaidMoment extends Moment {
  time: number;
}

const MAX_MOMENTS = 10_000;
/** What is printed before a file is saved may be read this much after it. */
const READ_LATE_MS = 100;
/** Metrics that none of so many lines told are of a loop that is over. */
const FORGOTTEN_AFTER_LINES = 200;

export class Progress {
  readonly #moments: SaidMoment[] = [];
  /** By metric: how often it was told of a later step than before, of which step last, and in which line. */
  readonly #told = new Map<string, { times: number; step: number; line: number }>();
  #lines = 0;
  now: Moment;
  /** The script itself says steps; else there are only those of the files that it saved. */
  counted = false;
  /** Some file said its own step. */
  labelled = false;
  /** The first epoch that it said; null: none yet. */
  firstEpoch: number | null = null;
  #reached = 0;

  /** `step`: what it was told to go on from. What it says itself counts more. */
  constructor(step: number) {
    this.now = { step, epoch: 0, metrics: {} };
  }

  /**
   * Takes in what it said; `step` or `epoch` null: it did not say. Returns the values of now. A metric that goes back while
   * the script stands further is an evaluation of an earlier checkpoint, and says nothing of what is saved now; one that is
   * merely behind does, since event files are read later than lines.
   */
  said(
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
    return names.filter((name) => step < (this.#told.get(name)?.step ?? step));
  }

  /**
   * The step that its main metric, the one it tells most often, was told of last. That falls when a loop begins anew, and
   * stays while others are told of earlier checkpoints.
   */
  #mainAfter(step: number, names: readonly string[]): number {
    const line = ++this.#lines;
    // A line without metrics tells of the step itself.
    for (const name of names.length > 0 ? names : ['']) {
      const { times, step: last } = this.#told.get(name) ?? { times: 0, step };
      // Those that go back are evaluations, however often they are told.
      this.#told.set(name, { times: times + (step < last ? 0 : 1), step, line });
    }
    for (const [name, told] of this.#told) if (told.line + FORGOTTEN_AFTER_LINES < line) this.#told.delete(name);
    const [main] = [...this.#told.values()].sort((a, b) => b.times - a.times || b.step - a.step);
    return main?.step ?? step;
  }

  /** By a file that it saved: the steps of others cannot be known from that. `own`: the file itself said it. */
  reached({ step, epoch }: Pick<Moment, 'step' | 'epoch'>, own: boolean): void {
    this.labelled ||= own;
    this.#reached = Math.max(this.#reached, step);
    this.now = { ...this.now, step: Math.max(this.now.step, step), epoch: Math.max(this.now.epoch, epoch) };
  }

  /** The step that a line of metrics is of. Where nothing counts steps, epochs do. */
  placeOf(step: number | null, epoch: number | null): number {
    if (step !== null) return step;
    return this.counted || epoch === null ? this.now.step : Math.max(this.#reached, epoch);
  }

  /** Returns how it was when it had told of that step; null: it has not, or only long after. */
  ofStep(step: number, until: number): Moment | null {
    if (!this.counted) return null;
    return this.#moments.findLast((moment) => moment.step === step && moment.time <= until) ?? null;
  }

  /** As it was when a file got its time; null: it had said nothing yet. */
  before(time: number): Moment | null {
    return this.#moments.findLast((moment) => moment.time <= time + READ_LATE_MS) ?? null;
  }

  /** What it said first after that, if it was soon. */
  soonAfter(time: number, withinMs: number): Moment | null {
    const next = this.#moments.find((moment) => moment.time > time + READ_LATE_MS);
    return next && next.time <= time + withinMs ? next : null;
  }

  /**
   * The end of the epoch that a file of that time belongs to. What is said of it a little after the file, until `lateMs`,
   * counts as well, unless it is so much that the file is of the middle of its epoch.
   */
  ofEpoch(epoch: number, time: number, lateMs: number): { moment: Moment; isOver: boolean } | null {
    const all = this.#moments.filter((moment) => moment.epoch === epoch && moment.time <= time + lateMs);
    const before = all.filter((moment) => moment.time <= time + READ_LATE_MS);
    const isOfMiddle = before.length > 0 && all.length - before.length > before.length / 2;
    const moment = (isOfMiddle ? before : all).at(-1);
    return moment ? { moment, isOver: this.now.epoch > epoch } : null;
  }

  /** Said after that time, by a launcher that passes lines on late: a loop that has begun anew says lower steps. */
  ofStepAfter(step: number, time: number, lateMs: number): Moment | null {
    if (step <= (this.before(time)?.step ?? -1)) return null;
    const isLate = (moment: SaidMoment) => moment.time > time && moment.time <= time + lateMs;
    return this.#moments.find((moment) => isLate(moment) && moment.step === step) ?? null;
  }
}
