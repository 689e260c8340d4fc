/** Long loops over files: the thread is not theirs alone. */
import { setImmediate } from 'node:timers/promises';

const SLICE_MS = 8;

/** Turns of a long loop: once a turn is over, the thread's other work comes first. */
export class Slices {
  #end = performance.now() + SLICE_MS;

  get isOver(): boolean {
    return performance.now() > this.#end;
  }

  async next(): Promise<void> {
    await setImmediate();
    this.#end = performance.now() + SLICE_MS;
  }
}
