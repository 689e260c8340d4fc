/** Runs that wait to be pushed to one remote, and its trouble. A file that survives the daemon, and the machine. */
import * as v from 'valibot';
import { readJson, writeJsonBeside } from '../../../base/files.ts';
import { namedRecord } from '../../../protocol/any-names.ts';
import { type PushPolicy, pushPolicySchema } from '../../../protocol/pushing.ts';
import { idSchema } from '../../../protocol/session.ts';

/** Longest pause between two attempts, and the first one. */
const LONGEST_PAUSE_MS = 300_000;
const FIRST_PAUSE_MS = 1_000;

const failingSchema = v.object({
  since: v.number(),
  attempts: v.number(),
  /** Time of the next attempt. */
  nextAt: v.number(),
  message: v.string(),
});
export type Failing = v.InferOutput<typeof failingSchema>;

const waitingSchema = v.object({ policy: pushPolicySchema, since: v.number() });
const queueSchema = v.object({
  runs: namedRecord(idSchema, waitingSchema),
  failing: v.nullable(failingSchema),
});

export interface Waiting {
  policy: PushPolicy;
  since: number;
  /** Number of times that something new was noted about the run. */
  noted: number;
  /** Trouble of this run only, while others can be sent. In memory: after a new start it is tried at once. */
  failing: Pick<Failing, 'since' | 'attempts' | 'nextAt'> | null;
}

export class PushQueue {
  readonly #path: string;
  readonly #runs = new Map<string, Waiting>();
  #failing: Failing | null = null;
  #writing: Promise<void> = Promise.resolve();
  #closed = false;

  constructor(path: string) {
    this.#path = path;
    const known = v.safeParse(queueSchema, readJson(path));
    if (!known.success) return;
    for (const [run, waiting] of Object.entries(known.output.runs))
      this.#runs.set(run, { ...waiting, noted: 1, failing: null });
    this.#failing = known.output.failing;
  }

  get runs(): ReadonlyMap<string, Waiting> {
    return this.#runs;
  }

  get failing(): Failing | null {
    return this.#failing;
  }

  /** Notes that there is something new about a run. */
  add(run: string, policy: PushPolicy, now: number): void {
    const known = this.#runs.get(run);
    const isSame = known && JSON.stringify(known.policy) === JSON.stringify(policy);
    const [since, noted] = [known?.since ?? now, (known?.noted ?? 0) + 1];
    this.#runs.set(run, { policy, since, noted, failing: known?.failing ?? null });
    if (!isSame) this.#write();
  }

  /** Forgets a run that was pushed, unless there was something new meanwhile. */
  done(run: string, { noted }: Waiting): void {
    const known = this.#runs.get(run);
    if (known && known.noted !== noted) return;
    this.#runs.delete(run);
    this.#write();
  }

  drop(run: string): void {
    if (this.#runs.delete(run)) this.#write();
  }

  /** Notes a failure, and when to try again. Returns true for the first one. */
  failed(message: string, now: number): boolean {
    const isFirst = this.#failing === null;
    this.#failing = { ...again(this.#failing, now), message };
    this.#write();
    return isFirst;
  }

  /** Notes that one run could not be sent, and when to try it again. It stays in the queue: nothing new may come of a run that is over. */
  runFailed(run: string, now: number): void {
    const known = this.#runs.get(run);
    if (known) this.#runs.set(run, { ...known, failing: again(known.failing, now) });
  }

  /** Notes that it goes again. Returns the trouble that is over; null: there was none. */
  succeeded(): Failing | null {
    const over = this.#failing;
    if (!over) return null;
    this.#failing = null;
    this.#write();
    return over;
  }

  /** Lets the next attempt be made at once: somebody may have mended what was wrong. */
  retryNow(now: number): void {
    if (this.#failing) this.#failing = { ...this.#failing, nextAt: now };
    for (const [run, waiting] of this.#runs)
      if (waiting.failing) this.#runs.set(run, { ...waiting, failing: { ...waiting.failing, nextAt: now } });
  }

  /** Resolves when everything is on the disk; nothing is written after it. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
  }

  #write(): void {
    if (this.#closed) return;
    // One after the other, each with what is known by then. A full disk only costs the memory of what waits.
    this.#writing = this.#writing
      .then(() => {
        const runs = [...this.#runs].map(([run, { policy, since }]) => [run, { policy, since }]);
        return writeJsonBeside(this.#path, { runs: Object.fromEntries(runs), failing: this.#failing });
      })
      .catch(() => {});
  }
}

/** Decides after another failure when to try again: after longer and longer pauses. */
function again(before: Pick<Failing, 'since' | 'attempts'> | null, now: number) {
  const attempts = (before?.attempts ?? 0) + 1;
  const pause = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** (attempts - 1));
  return { since: before?.since ?? now, attempts, nextAt: now + pause };
}
