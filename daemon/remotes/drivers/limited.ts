/** Keeps what a driver sends and receives below a number of bytes in a second, on the average. */
import { setTimeout as delay } from 'node:timers/promises';
import { AroundDriver } from './around.ts';
import type { Driver, GetOptions, PutOptions } from './driver.ts';

export class LimitedDriver extends AroundDriver {
  readonly #bytesPerSecond: number;
  /** Time, by `performance.now()`, at which everything so far fits below the limit. */
  #freeAt = 0;

  constructor(inner: Driver, bytesPerSecond: number) {
    super(inner);
    this.#bytesPerSecond = bytesPerSecond;
  }

  override async get(key: string, options: GetOptions): Promise<Uint8Array<ArrayBuffer> | null> {
    await this.#turn(0, options.signal);
    const bytes = await this.inner.get(key, options);
    // Its size was not known before: whoever is next waits for it.
    this.#take(bytes?.length ?? 0);
    return bytes;
  }

  override async put(key: string, bytes: Uint8Array, options: PutOptions = {}): Promise<'written' | 'taken'> {
    await this.#turn(bytes.length, options.signal);
    return this.inner.put(key, bytes, options);
  }

  /** Takes a place in the order, and waits for it. */
  async #turn(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const now = performance.now();
    const from = Math.max(now, this.#freeAt);
    this.#take(bytes);
    if (from > now) await delay(from - now, undefined, { signal });
  }

  #take(bytes: number): void {
    this.#freeAt = Math.max(performance.now(), this.#freeAt) + (bytes / this.#bytesPerSecond) * 1000;
  }
}
