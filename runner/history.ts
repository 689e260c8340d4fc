/** Extracts metrics from the history that a trainer writes with each of its checkpoints. */
import type { LoggedStep } from './content-facts.ts';

type Report = (time: number, step: number, epoch: number | null, values: Record<string, number>) => void;

/** Reports each step once, although every file repeats the whole history up to its own step. */
export class History {
  readonly #report: Report;
  #reportedTo: number;

  /** `reportedTo`: the metrics up to and including this step are known already. */
  constructor(reportedTo: number, report: Report) {
    this.#reportedTo = reportedTo;
    this.#report = report;
  }

  /** Stops reporting because the script gives its metrics in another way; they must not appear twice. */
  silence(): void {
    this.#reportedTo = Number.POSITIVE_INFINITY;
  }

  /** `time`: when the file was written. */
  record(history: readonly LoggedStep[], time: number): void {
    for (const { step, epoch, values } of history) if (step > this.#reportedTo) this.#report(time, step, epoch, values);
    this.#reportedTo = Math.max(this.#reportedTo, history.at(-1)?.step ?? 0);
  }
}
