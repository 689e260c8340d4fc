/** Runs between a crash and the session that a restart gives them. Until then nobody else gets their devices. */
import type { Run } from '../../../protocol/domain.ts';
import { maskText } from '../../../protocol/secrets.ts';
import type { Launch } from '../../../protocol/session.ts';
import type { RunChange } from '../../store/catalog/run-change.ts';
import type { Ended } from '../live/ended.ts';
import type { Environment } from './environments.ts';
import type { LaunchOptions } from './launching.ts';

/** Actions of the runs that a restart after a crash needs. */
export interface Restarts {
  /** Notes on disk that the run is to be restarted: its delay must not be lost with the daemon. */
  plan(run: Run, launch: Launch, environment: Environment): void;
  start(run: string, options: LaunchOptions & { code?: 'then' }): Promise<Run>;
  /** Removes the note. */
  drop(run: string): void;
  /** Returns the change of a run that goes on later by itself, or whose rollback was refused; null: neither. */
  goesOn(ended: Ended): Promise<RunChange | null>;
}

export class CrashedRuns {
  readonly #runs = new Map<string, Run>();
  readonly #timers = new Map<string, NodeJS.Timeout>();

  get all(): readonly Run[] {
    return [...this.#runs.values()];
  }

  /** Keeps the devices of a run that has ended while it is decided whether it starts again. */
  hold(run: Run): void {
    this.#runs.set(run.id, run);
  }

  /** Restarts a run after a delay. Its devices are kept until `restart` has begun its session, or has failed. */
  plan({ id }: Run, delayMs: number, restart: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(id);
      void restart().finally(() => this.release(id));
    }, delayMs);
    this.#timers.set(id, timer);
  }

  /** Lets the devices of a run go that is not to be restarted. */
  release(id: string): void {
    if (!this.#timers.has(id)) this.#runs.delete(id);
  }

  /** Drops the restart of a run. */
  forget(id: string): void {
    clearTimeout(this.#timers.get(id));
    this.#timers.delete(id);
    this.#runs.delete(id);
  }

  dispose(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }
}

/** Tells that it could not be found out whether a run goes on. */
export function undecided({ number, step }: Run, { message }: Error): RunChange {
  const text = maskText(
    `It does not go on by itself: ${message}. Its checkpoints are kept; \`trainstash resume ${number}\` goes on from the newest good one.`,
  );
  return { addNotices: [{ code: 'undecided', level: 'error', text, step, at: Date.now() }] };
}
