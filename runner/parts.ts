/** Tracks the parts that the checkpoints of a series have, to detect missing ones. Pure. */

/** A part that is missing this many times in a row is no longer expected. */
const GIVEN_UP_AFTER = 2;

export class Parts {
  /** The parts of each series, and how many of the newest checkpoints in a row lacked each. */
  readonly #known = new Map<string, Map<string, number>>();

  /** `earlier`: the parts of checkpoints of earlier sessions and runs, by series. */
  constructor(earlier: Readonly<Record<string, readonly string[]>> = {}) {
    for (const [series, parts] of Object.entries(earlier))
      this.#known.set(series, new Map(parts.map((part) => [part, 0])));
  }

  /** Lists expected parts that are not present. */
  lacking(series: string, present: readonly string[]): string[] {
    return [...(this.#known.get(series)?.keys() ?? [])].filter((part) => !present.includes(part));
  }

  recordTaken(series: string, present: readonly string[]): void {
    const known = this.#known.get(series) ?? new Map<string, number>();
    this.#known.set(series, known);
    for (const [part, absent] of known) {
      if (absent + 1 >= GIVEN_UP_AFTER && !present.includes(part)) known.delete(part);
      else known.set(part, absent + 1);
    }
    for (const part of present) known.set(part, 0);
  }

  /** Marks late parts as present. */
  recordCompleted(series: string, present: readonly string[]): void {
    const known = this.#known.get(series) ?? new Map<string, number>();
    this.#known.set(series, known);
    for (const part of present) known.set(part, 0);
  }
}
