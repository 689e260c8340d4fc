/** Clients that wait for a checkpoint that they have requested from a trainer. */
import type { Checkpoint } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { type Deferred, deferred } from '../deferred.ts';

/**
 * Wait after the answer: an answered request's checkpoint comes through the inbox; if it has not come by then, it
 * failed.
 */
const GRACE_MS = 30_000;

export class CheckpointRequests {
  #waiting: { seq: number; done: Deferred<Checkpoint> }[] = [];

  /** Adds a request; `seq` is that of its control file. */
  add(seq: number): Promise<Checkpoint> {
    const done = deferred<Checkpoint>();
    this.#waiting.push({ seq, done });
    return done.promise;
  }

  stored(checkpoint: Checkpoint): void {
    if (!checkpoint.reasons.includes('request')) return;
    for (const { done } of this.#waiting) done.resolve(checkpoint);
    this.#waiting = [];
  }

  /** Records that the trainer has done what it could. */
  answered(seq: number): void {
    const failed = new TrainstashError(
      'storeFull',
      'The checkpoint could not be written; the training goes on and earlier checkpoints are untouched.',
      { neededBytes: 0, freeBytes: 0 },
    );
    setTimeout(() => this.#reject((request) => request.seq <= seq, failed), GRACE_MS).unref();
  }

  reject(error: TrainstashError): void {
    this.#reject(() => true, error);
  }

  #reject(which: (request: { seq: number }) => boolean, error: TrainstashError): void {
    for (const request of this.#waiting.filter(which)) request.done.reject(error);
    this.#waiting = this.#waiting.filter((request) => !which(request));
  }
}
