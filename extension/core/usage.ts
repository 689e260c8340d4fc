/** Shows beside the view's title how much of its quota the store of the shown project uses. */
import { projectWhere } from '../../protocol/messages/project.ts';
import { bytes } from '../../protocol/words.ts';
import type { Connection } from './connection.ts';

/** Minimum interval between requests: each one counts bytes, which is too much for every checkpoint. */
const REST_MS = 20_000;

export class Usage {
  readonly #connection: Connection;
  readonly #show: (text: string) => void;
  #askedAt = 0;
  #timer: NodeJS.Timeout | null = null;

  constructor(connection: Connection, show: (text: string) => void) {
    this.#connection = connection;
    this.#show = show;
  }

  /** Notes that checkpoints were stored or deleted, or that another project is shown. */
  changed(root: string | undefined): void {
    if (root === undefined || this.#timer) return;
    const wait = Math.max(0, this.#askedAt + REST_MS - Date.now());
    this.#timer = setTimeout(() => void this.#ask(root), wait);
  }

  dispose(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }

  async #ask(root: string): Promise<void> {
    this.#timer = null;
    this.#askedAt = Date.now();
    try {
      const { usage } = await this.#connection.poll(projectWhere, { root });
      this.#show(`${bytes(usage.objectsBytes - usage.freeBytes)} of ${bytes(usage.quotaBytes)}`);
    } catch {
      // Without a daemon the usage is unknown.
      this.#show('');
    }
  }
}
