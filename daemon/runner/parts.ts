/** Which parts the checkpoints of a series have, so that one which lacks some is known. Pure. */

/** A part that so many in a row do without is no longer one. */
const GIVEN_UP_AFTER = 2;

export class Parts {
  /** By series, each part with how many of the newest checkpoints lacked it. */
  readonly #known = new Map<string, Map<string, number>>();

  /** `earlier`: of the checkpoints of earlier sessions and runs, by series. */
  constructor(earlier: Readonly<Record<string, readonly string[]>> = {}) {
    for (const [series, parts] of Object.entries(earlier))
      this.#known.set(series, new Map(parts.map((part) => [part, 0])));
  }

  /** Parts that others of the series have. */
  lacking(series: string, present: readonly string[]): string[] {
    return [...(this.#known.get(series)?.keys() ?? [])].filter((part) => !present.includes(part));
  }

  took(series: string, present: readonly string[]): void {
    const known = this.#known.get(series) ?? new Map<string, number>();
    this.#known.set(series, known);
    for (const [part, absent] of known) {
      if (absent + 1 >= GIVEN_UP_AFTER && !present.includes(part)) known.delete(part);
      else known.set(part, absent + 1);
    }
    for (const part of present) known.set(part, 0);
  }

  /** What came late was there after all. */
  completed(series: string, present: readonly string[]): void {
    const known = this.#known.get(series) ?? new Map<string, number>();
    this.#known.set(series, known);
    for (const part of present) known.set(part, 0);
  }
}
