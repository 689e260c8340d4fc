/** The engines that runs of a project are on, each with what it has said last. */
import type { EngineConfig } from '../../../protocol/engines.ts';
import type { Engine, JobState } from '../../engines/contract.ts';
import { openEngine } from '../../engines/open.ts';

/** Interval of questions to an engine. */
export const POLL_MS = 5_000;
/** First and longest wait after a failure; each is twice as long as the one before. */
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 300_000;

/** Times of attempts: later and later while they fail. */
export class BackOff {
  #at = 0;
  #waitMs = 0;

  get isDue(): boolean {
    return Date.now() >= this.#at;
  }

  /** Allows the next attempt at once. */
  reset(): void {
    this.#at = 0;
    this.#waitMs = 0;
  }

  /** Puts the next attempt off. Several failures at the same time count as one. */
  failed(): void {
    if (!this.isDue) return;
    this.#waitMs = Math.min(LONGEST_WAIT_MS, Math.max(FIRST_WAIT_MS, this.#waitMs * 2));
    this.#at = Date.now() + this.#waitMs;
  }

  /** Puts the next attempt off, though nothing has failed. */
  wait(ms: number): void {
    this.#waitMs = 0;
    this.#at = Date.now() + ms;
  }
}

/** Answer of an engine, with the time of the question: what has happened since is not in it. */
export interface Answer {
  states: ReadonlyMap<string, JobState>;
  askedAt: number;
}

export interface Opened {
  readonly engine: Engine;
  /** Name and settings: the file that they are in may change while runs are there. */
  readonly key: string;
  readonly polls: BackOff;
  readonly looks: BackOff;
  /** Newest answer: one value, since its time counts for its own states alone. */
  answer: Answer;
  unknownSince: number | null;
  polling: Promise<void> | null;
}

export class OpenedEngines {
  readonly #opened = new Map<string, Opened>();

  of(name: string, config: EngineConfig): Opened {
    const key = keyOf(name, config);
    const known = this.#opened.get(key);
    if (known) return known;
    const opened: Opened = {
      engine: openEngine(name, config),
      key,
      polls: new BackOff(),
      looks: new BackOff(),
      answer: { states: new Map(), askedAt: 0 },
      unknownSince: null,
      polling: null,
    };
    this.#opened.set(key, opened);
    return opened;
  }

  close(): void {
    for (const { engine } of this.#opened.values()) engine.close();
    this.#opened.clear();
  }
}

function keyOf(name: string, config: EngineConfig): string {
  return `${name} ${JSON.stringify(config)}`;
}
