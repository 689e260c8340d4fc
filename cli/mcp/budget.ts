/** Limits what an agent may start: a number of runs, and a number of hours of training. */
import { TrainstashError } from '../../protocol/errors.ts';
import { counted } from '../../protocol/words.ts';

const HOUR_MS = 3_600_000;

export interface BudgetLimits {
  runs: number;
  /** Null: no limit. */
  hours: number | null;
}

export class Budget {
  readonly #limits: BudgetLimits;
  readonly #started = new Map<string, number>();
  #used = 0;
  /** Total time of runs that have ended, in milliseconds. */
  #spent = 0;

  constructor(limits: BudgetLimits) {
    this.#limits = limits;
  }

  /** Ids of the runs that were started through this budget and may still be live. */
  get runs(): string[] {
    return [...this.#started.keys()];
  }

  /** Starts a run by `start` if the budget allows one more. Rejects with `budgetSpent`; a failed start is not counted. */
  async spend<T extends { id: string }>(start: () => Promise<T>): Promise<T> {
    this.check(Date.now());
    // Counted before waiting: calls may run concurrently.
    this.#used++;
    try {
      const run = await start();
      if (!this.#started.has(run.id)) this.#started.set(run.id, Date.now());
      return run;
    } catch (error) {
      this.#used--;
      throw error;
    }
  }

  ended(run: string, now: number): void {
    const since = this.#started.get(run);
    if (since === undefined) return;
    this.#started.delete(run);
    this.#spent += now - since;
  }

  isOver(now: number): boolean {
    const { hours } = this.#limits;
    if (hours === null) return false;
    const running = [...this.#started.values()].reduce((sum, since) => sum + now - since, 0);
    return this.#spent + running >= hours * HOUR_MS;
  }

  /** Throws `budgetSpent` if nothing more may be started. */
  check(now: number): void {
    const { runs, hours } = this.#limits;
    const spent = (what: string, option: string) =>
      new TrainstashError(
        'budgetSpent',
        `Nothing was started: ${what}. The person who starts \`trainstash mcp\` can allow more with ${option}.`,
        { runs, hours },
      );
    if (this.#used >= runs)
      throw spent(
        `the ${counted(runs, 'run')} that this session may start ${runs === 1 ? 'is' : 'are'} used up`,
        '--max-runs',
      );
    if (this.isOver(now))
      throw spent(
        `the ${hours} ${hours === 1 ? 'hour' : 'hours'} of training that this session may use are used up`,
        '--max-hours',
      );
  }
}
