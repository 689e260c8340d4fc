/** Extracts metrics from the history that a trainer writes with each of its checkpoints. */
import type { LoggedStep } from './content-facts.ts';

type Tell = (time: number, step: number, epoch: number | null, values: Record<string, number>) => void;

/** Reports each step once, although every file repeats the whole history up to its own step. */
export class History {
  readonly #tell: Tell;
  #toldTo: number;

  /** `reportedTo`: the metrics up to and including this step are known already. */
  constructor(toldTo: number, tell: Tell) {
    this.#toldTo = toldTo;
    this.#tell = tell;
  }

  /** Stops reporting because the script gives its metrics in another way; they must not appear twice. */
  silence(): void {
    this.#toldTo = Number.POSITIVE_INFINITY;
  }

  /** `time`: when the file was written. */
  take(history: readonly LoggedStep[], time: number): void {
    for (const { step, epoch, values } of history) if (step > this.#toldTo) this.#tell(time, step, epoch, values);
    this.#toldTo = Math.max(this.#toldTo, history.at(-1)?.step ?? 0);
  }
}
