/** The editor's copy of what is known of engines: their runs, their nodes and their queues. Does not use `vscode`. */
import type { Connection } from '../../pages/connection.ts';
import type { EngineLoad } from '../../protocol/engines.ts';
import { isError } from '../../protocol/errors.ts';
import { type EngineSummary, engineList, engineLoad } from '../../protocol/messages/engine.ts';

/** Time between two questions while somebody looks: a cluster tells nothing by itself. */
const LOOK_MS = 10_000;
const FIRST_MS = 300;

export interface Cluster {
  root: string;
  engine: EngineSummary;
  /** Undefined: not known yet; null: engines of its kind do not tell. */
  load: EngineLoad | null | undefined;
  /** Reason why it does not answer; null: it does. */
  problem: string | null;
}

export class ClustersModel {
  readonly #connection: Pick<Connection, 'poll'>;
  readonly #roots: () => string[];
  readonly #listeners: (() => void)[] = [];
  #known: Cluster[] = [];
  #timer: NodeJS.Timeout | null = null;
  #isWatched = false;
  #loading: Promise<void> | null = null;

  constructor(connection: Pick<Connection, 'poll'>, roots: () => string[]) {
    this.#connection = connection;
    this.#roots = roots;
  }

  onChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get clusters(): readonly Cluster[] {
    return this.#known;
  }

  /** Asks again and again while somebody looks; a hidden view costs a cluster nothing. */
  watch(isWatched: boolean): void {
    this.#isWatched = isWatched;
    if (isWatched) this.look();
  }

  /** Looks again, a moment later: much changes at once. */
  look(): void {
    if (this.#isWatched) this.#later(FIRST_MS);
  }

  dispose(): void {
    this.#isWatched = false;
    if (this.#timer) clearTimeout(this.#timer);
  }

  #later(ms: number): void {
    if (this.#timer) clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#loading ??= this.#load().finally(() => {
        this.#loading = null;
        if (this.#isWatched && !this.#timer) this.#later(LOOK_MS);
      });
    }, ms);
  }

  async #load(): Promise<void> {
    const lists = await Promise.all(
      this.#roots().map(async (root) => {
        const listed = await this.#connection.poll(engineList, { root }).catch(quiet);
        return listed?.engines.map((engine): Cluster => this.#clusterOf(root, engine)) ?? [];
      }),
    );
    this.#known = lists.flat();
    this.#tell();
    // Each tells for itself: one that cannot be reached takes long.
    await Promise.all(this.#known.map((cluster) => this.#loadOne(cluster)));
  }

  /** Makes the record of an engine, with what it said before. */
  #clusterOf(root: string, engine: EngineSummary): Cluster {
    const before = this.#known.find((one) => one.root === root && one.engine.name === engine.name);
    return { root, engine, load: before?.load, problem: before?.problem ?? null };
  }

  async #loadOne(cluster: Cluster): Promise<void> {
    const { root, engine } = cluster;
    try {
      const { load } = await this.#connection.poll(engineLoad, { root, name: engine.name });
      Object.assign(cluster, { load, problem: null });
    } catch (error) {
      if (isError(error, 'internal')) throw error;
      // In a folder that is not trusted none of its commands is run: what the file says is all there is.
      if (isError(error, 'untrusted')) cluster.load = null;
      else cluster.problem = (error as Error).message;
    }
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}

/** Shows nothing where nothing can be known: a mistake in trainstash.json, a daemon that is away. */
function quiet(error: unknown): null {
  if (isError(error, 'internal')) throw error;
  return null;
}
