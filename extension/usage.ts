/** How much of its quota the store of the shown project uses: said beside the view's title. */
import * as m from '../protocol/messages.ts';
import { bytes } from '../protocol/words.ts';
import type { Connection } from './connection.ts';

/** Asking means counting: not for each of a training's checkpoints. */
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

  /** Something was kept, deleted, or another project is shown. */
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
      const { usage } = await this.#connection.poll(m.projectWhere, { root });
      this.#show(`${bytes(usage.objectsBytes - usage.freeBytes)} of ${bytes(usage.quotaBytes)}`);
    } catch {
      // Without a daemon nothing is known.
      this.#show('');
    }
  }
}
