/** The editor's copy of what is known of remotes: their state, their runs, and which checkpoints are there. Does not use `vscode`. */

import type { Connection } from '../../pages/connection.ts';
import { isError } from '../../protocol/errors.ts';
import {
  type RemoteOffer,
  type RemoteRun,
  type RemoteSummary,
  remoteList,
  remoteMarks,
  remoteRuns,
  remotesChanged,
} from '../../protocol/messages/remote.ts';

const LOOK_MS = 300;
/** Number of runs whose marks are kept current. */
const MOST_RUNS = 50;

export interface RemotesOf {
  root: string;
  store: string;
  remotes: RemoteSummary[];
  offers: RemoteOffer[];
}

/** Remotes on which a checkpoint is. */
export interface CheckpointMark {
  there: string[];
}

export class RemotesModel {
  readonly #connection: Pick<Connection, 'poll' | 'on'>;
  readonly #projects: () => { root: string; store: string }[];
  readonly #listeners: (() => void)[] = [];
  #known: RemotesOf[] = [];
  /** Marks of each run, by checkpoint, as its project last told them. */
  readonly #marks = new Map<string, Map<string, CheckpointMark>>();
  /** Runs whose marks were asked for. */
  readonly #asked = new Map<string, { root: string; run: string }>();
  readonly #waiting = new Map<string, boolean>();
  #timer: NodeJS.Timeout | null = null;

  constructor(connection: Pick<Connection, 'poll' | 'on'>, projects: () => { root: string; store: string }[]) {
    this.#connection = connection;
    this.#projects = projects;
    connection.on(remotesChanged, ({ store, remotes }) => {
      for (const project of this.#known)
        if (project.store === store)
          for (const known of project.remotes)
            Object.assign(
              known,
              remotes.find(({ name }) => name === known.name),
            );
      for (const listener of this.#listeners) listener();
      this.look();
    });
  }

  onChanged(listener: () => void): void {
    this.#listeners.push(listener);
  }

  get projects(): readonly RemotesOf[] {
    return this.#known;
  }

  /** Returns what is known of a checkpoint; undefined: it is on no remote, and waits for none. */
  markOf(run: string, checkpoint: string): CheckpointMark | undefined {
    return this.#marks.get(run)?.get(checkpoint);
  }

  /** Loads the marks of a run's checkpoints, and keeps them current. */
  follow(root: string, run: string): void {
    if (this.#asked.has(run)) return;
    this.#asked.set(run, { root, run });
    this.look();
  }

  /** Looks again, a moment later: much changes at once. */
  look(): void {
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.#load();
    }, LOOK_MS);
  }

  async runs(root: string, name: string): Promise<RemoteRun[]> {
    const answer = await this.#connection.poll(remoteRuns, { root, name }).catch(() => null);
    return answer?.runs ?? [];
  }

  dispose(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }

  async #load(): Promise<void> {
    const known: RemotesOf[] = [];
    for (const project of this.#projects()) {
      const listed = await this.#connection.poll(remoteList, { root: project.root }).catch(quiet);
      if (listed) known.push({ ...project, ...listed });
    }
    this.#known = known;
    // Those that cannot be listed now keep their marks.
    const without = new Set(known.flatMap(({ root, remotes }) => (remotes.length === 0 ? [root] : [])));
    const isCurrent = ({ root }: { root: string }) => !without.has(root);
    const current = [...this.#asked.values()].filter(isCurrent).slice(-MOST_RUNS);
    for (const { run } of this.#asked.values())
      if (!current.some((one) => one.run === run)) {
        this.#marks.delete(run);
        this.#waiting.delete(run);
      }
    if (known.some(({ remotes }) => remotes.length > 0))
      for (const { root, run } of current) await this.#loadMarks(root, run);
    for (const listener of this.#listeners) listener();
  }

  async #loadMarks(root: string, run: string): Promise<void> {
    const answer = await this.#connection.poll(remoteMarks, { root, run }).catch(quiet);
    if (!answer) return;
    this.#marks.set(run, new Map(Object.entries(answer.there).map(([id, there]) => [id, { there }])));
    this.#waiting.set(run, answer.waiting.length > 0);
  }

  /** Tells whether something of a run waits to be sent. */
  isWaiting(run: string): boolean {
    return this.#waiting.get(run) ?? false;
  }
}

/** Shows nothing where nothing can be known: a store that nobody accepted, a daemon that is away. */
function quiet(error: unknown): null {
  if (isError(error, 'internal')) throw error;
  return null;
}
