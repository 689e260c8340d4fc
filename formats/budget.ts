/** Limits the memory for the structure of one file. Memory is counted before it is allocated. */
import { FormatError } from './format-error.ts';

const DEFAULT_BYTES = 384 << 20;

export class Budget {
  readonly #bytes: number;
  #spent = 0;

  constructor(bytes = DEFAULT_BYTES) {
    this.#bytes = bytes;
  }

  /** Counts memory. Throws FormatError when not enough is left. */
  spend(bytes: number): void {
    this.#spent += bytes;
    if (this.#spent > this.#bytes)
      throw new FormatError(`its structure takes more than ${Math.round(this.#bytes / (1 << 20))} MB of memory`, {
        isWhole: true,
      });
  }
}
