/** A clock that stands still until a test lets time pass. */
import type { Clock } from '../../daemon/remotes/automatic/automatic.ts';

export class TestClock implements Clock {
  #now = 1_000_000;
  readonly #timers = new Map<number, { at: number; work: () => void }>();
  #next = 1;

  now(): number {
    return this.#now;
  }

  after(ms: number, work: () => void): () => void {
    const id = this.#next++;
    this.#timers.set(id, { at: this.#now + ms, work });
    return () => this.#timers.delete(id);
  }

  /** Time until the next timer; null: there is none. */
  get untilNext(): number | null {
    const times = [...this.#timers.values()].map(({ at }) => at);
    return times.length === 0 ? null : Math.min(...times) - this.#now;
  }

  /** Lets time pass, and does what is due meanwhile. */
  pass(ms: number): void {
    this.#now += ms;
    for (const [id, { at, work }] of [...this.#timers])
      if (at <= this.#now) {
        this.#timers.delete(id);
        work();
      }
  }
}
