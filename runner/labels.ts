/**
 * Determines the step and epoch of a checkpoint that a script has saved: from its content, else its name, else the
 * printed output.
 */

import { isNumbered } from '../session/groups.ts';
import type { NameFacts } from '../session/names.ts';
import type { ContentFacts } from './content-facts.ts';
import type { Moment, Progress } from './progress.ts';

/** A launcher may pass lines on this long after its script has printed them. */
const LATE_MS = 15_000;

/** Larger numbers in names are dates and the like. */
const LARGEST_COUNT = 10_000_000;

export interface Label extends Moment {
  /** True if its content or its name states the step. */
  own: boolean;
  /** True if printed output states it. */
  printed: boolean;
  /** True if later output cannot change it. */
  settled: boolean;
}

export interface Labelled {
  key: string;
  series: string;
  /** The time at which its newest file was written. */
  time: number;
  content: ContentFacts;
  name: NameFacts;
}

export class Labels {
  readonly #progress: Progress;
  /** The first number seen in the names, by series. */
  readonly #firstNumbers = new Map<string, number>();

  constructor(progress: Progress) {
    this.#progress = progress;
  }

  /** `ended`: no more output will come. */
  of(what: Labelled, ended: boolean): Label {
    const { content, name, time } = what;
    const progress = this.#progress;
    const number = content.epoch ?? name.epoch ?? name.number;
    if (number !== null && isNumbered(what) && !this.#firstNumbers.has(what.series))
      this.#firstNumbers.set(what.series, number);
    const printed = this.#printed(what, number);
    const step = content.step ?? name.step;
    // However soon the next step was reported.
    const ofStep = step === null ? null : progress.ofStep(step, time + LATE_MS);
    const moment = ofStep ?? printed?.moment ?? progress.before(time);
    const epoch = content.epoch ?? name.epoch;
    // A report about its number may still come.
    const settled = step !== null || ended || (printed ? printed.isOver : moment !== null && number === null);
    return {
      step: step ?? (progress.counted ? (moment?.step ?? 0) : this.#uncounted(what, moment)),
      epoch: epoch ?? moment?.epoch ?? (progress.counted ? 0 : progress.now.epoch),
      metrics: moment?.metrics ?? {},
      own: step !== null,
      printed: moment !== null,
      settled: settled || Date.now() - time > LATE_MS,
    };
  }

  /** Finds what was printed about this checkpoint itself, rather than before it; null: nothing certain. */
  #printed({ series, time, name }: Labelled, number: number | null): { moment: Moment; isOver: boolean } | null {
    const progress = this.#progress;
    if (number !== null) {
      const first = this.#firstNumbers.get(series);
      // One of the two may count from 1; any other difference means that they are unrelated.
      const ahead = first === undefined || progress.firstEpoch === null ? null : first - progress.firstEpoch;
      const ofEpoch = ahead !== null && Math.abs(ahead) <= 1 ? progress.ofEpoch(number - ahead, time, LATE_MS) : null;
      if (ofEpoch) return ofEpoch;
      const ofStep = number === name.number ? progress.ofStepAfter(number, time, LATE_MS) : null;
      if (ofStep) return { moment: ofStep, isOver: true };
    }
    if (progress.before(time)) return null;
    const next = progress.soonAfter(time, LATE_MS);
    return next && { moment: next, isOver: true };
  }

  /**
   * Falls back to epochs if nothing counts steps, then to the numbers in the checkpoints' names, then to counting the
   * checkpoints.
   */
  #uncounted({ content, name, ...group }: Labelled, moment: Moment | null): number {
    const { now, labelled, firstEpoch } = this.#progress;
    const epoch = content.epoch ?? name.epoch ?? (firstEpoch === null ? null : (moment?.epoch ?? null));
    if (epoch !== null) return epoch;
    if (labelled) return now.step;
    return isNumbered(group) && name.number !== null && name.number < LARGEST_COUNT ? name.number : now.step + 1;
  }
}
