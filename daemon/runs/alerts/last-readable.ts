/** The configuration of a folder while somebody edits it: a file with a mistake counts as it was before. */
import { isError } from '../../../protocol/errors.ts';
import { type Config, readConfig } from '../config.ts';

/** Folders whose last readable configuration is remembered. */
const MOST_REMEMBERED = 100;

export class LastReadable {
  readonly #known = new Map<string, Config['branches']>();
  readonly #log: (text: string) => void;
  /** Mistakes that are in the log already. */
  readonly #logged = new Map<string, string>();

  constructor(log: (text: string) => void) {
    this.#log = log;
  }

  /** Reads what is not about jobs. Null: the file has a mistake, and no earlier one was read. */
  read(root: string): Config['branches'] | null {
    try {
      const { branches } = readConfig(root);
      this.#known.delete(root);
      this.#known.set(root, branches);
      this.#logged.delete(root);
    } catch (error) {
      if (!isError(error, 'configInvalid')) throw error;
      if (this.#logged.get(root) !== error.message)
        this.#log(`alerts: ${error.message.replace(/ Nothing was started\.$/, '')} Rules from before stay.`);
      this.#logged.set(root, error.message);
    }
    for (const map of [this.#known, this.#logged]) {
      const [oldest] = map.keys();
      if (map.size > MOST_REMEMBERED) map.delete(oldest!);
    }
    return this.#known.get(root) ?? null;
  }
}
