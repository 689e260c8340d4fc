/** Runs of all projects that make way for urgent ones off their GPUs, by `cuda-checkpoint`. */
import type { Run } from '../../protocol/domain.ts';
import { LIVE_STATUSES } from '../../protocol/status.ts';
import type { Device as Gpu } from '../devices/allocate.ts';
import type { MoveRecord } from '../runs/moving/records.ts';
import type { OpenProject } from '../runs/project.ts';
import type { LiveHolder } from './device-queue.ts';

export class Moving {
  readonly #projects: () => readonly OpenProject[];
  readonly #look: () => Promise<readonly Gpu[]>;
  /** Outcomes of the moves for an urgent run, until they are asked for: null, or why one failed. */
  readonly #outcomes = new Map<string, Promise<string | null>>();
  readonly #started = new Set<string>();

  constructor(projects: () => readonly OpenProject[], look: () => Promise<readonly Gpu[]>) {
    this.#projects = projects;
    this.#look = look;
  }

  get size(): number {
    return this.#projects().reduce((sum, { runs }) => sum + runs.moves.size, 0);
  }

  /** Lists the runs that wait to be moved back. */
  async waiting(): Promise<{ project: OpenProject; record: MoveRecord }[]> {
    const all: { project: OpenProject; record: MoveRecord }[] = [];
    for (const project of this.#projects()) {
      await project.runs.moves.forgetEnded(async (id) => {
        const run = await project.store.run(id);
        return run !== undefined && run.status !== 'queued' && LIVE_STATUSES.includes(run.status);
      });
      all.push(...project.runs.moves.waiting().map((record) => ({ project, record })));
    }
    return all;
  }

  async obstacle(runs: readonly Run[], environment: Record<string, string>): Promise<string | null> {
    const gpus = await this.#look();
    for (const { id, name } of runs) {
      const project = this.#projects().find((one) => one.runs.claims.some((run) => run.id === id));
      const why = await project?.runs.moves.obstacle(id, gpus, environment);
      if (why) return runs.length === 1 ? why : `${name}: ${why}`;
    }
    return null;
  }

  /** Returns the outcome of the moves that were started for an urgent run. */
  async outcome(urgent: string): Promise<string | null> {
    const outcome = await this.#outcomes.get(urgent);
    this.#outcomes.delete(urgent);
    return outcome ?? null;
  }

  /** Starts to move runs off their GPUs. `left`: hears which may still be moved, after one could not be. */
  start(
    holders: readonly LiveHolder[],
    by: Run,
    environment: Record<string, string>,
    left: (runs: string[]) => void,
  ): void {
    if (holders.length === 0 || this.#started.has(by.id)) return;
    this.#started.add(by.id);
    const all = holders.map(({ project, run }) => project.runs.moves.off(run, by, environment, this.#look));
    const outcome = Promise.all(all).then((whys) => whys.find((why) => why !== null) ?? null);
    const settled = outcome.catch((error: Error) => error.message);
    // What has failed once is not tried again: a person decides.
    const kept = settled.then((why) => {
      if (why !== null) left([]);
      return why;
    });
    this.#outcomes.set(by.id, kept);
    void kept.finally(() => this.#started.delete(by.id));
  }
}
