/** What an agent may start: so many runs, and so many hours of them. */
import { TrainstashError } from '../../protocol/errors.ts';

const HOUR_MS = 3_600_000;

export interface BudgetLimits {
  runs: number;
  /** Null: as long as they take. */
  hours: number | null;
}

export class Budget {
  readonly #limits: BudgetLimits;
  readonly #started = new Map<string, number>();
  #used = 0;
  /** Milliseconds of runs that have ended. */
  #spent = 0;

  constructor(limits: BudgetLimits) {
    this.#limits = limits;
  }

  /** Of the runs that were started through it and may still be live. */
  get runs(): string[] {
    return [...this.#started.keys()];
  }

  /** Throws `budgetSpent`. */
  check(now: number): void {
    const { runs } = this.#limits;
    if (this.#used >= runs)
      throw new TrainstashError(
        'budgetSpent',
        `Nothing was started: the ${runs} runs that this session may start are used up. Whoever started \`trainstash mcp\` can allow more with --max-runs.`,
        { runs, hours: this.#limits.hours },
      );
    if (this.isOver(now))
      throw new TrainstashError(
        'budgetSpent',
        `Nothing was started: the ${this.#limits.hours} hours of training that this session may use are over. Whoever started \`trainstash mcp\` can allow more with --max-hours.`,
        { runs, hours: this.#limits.hours },
      );
  }

  started(run: string, now: number): void {
    this.#used++;
    if (!this.#started.has(run)) this.#started.set(run, now);
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
}
