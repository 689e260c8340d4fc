/** Lets pieces of work that must not overlap run one after the other, in the order in which they were given. */
export class Mutex {
  #last: Promise<unknown> = Promise.resolve();

  /** Runs the work once all that came before is over. The error of one piece is its own. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => {});
    return result;
  }

  /** Waits for all that was given until now. */
  async settled(): Promise<void> {
    await this.#last;
  }
}
