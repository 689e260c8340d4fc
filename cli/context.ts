/** What every command has: the connection, the folder, and where its answer goes. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD } from '../client/build.ts';
import { type Client, connect } from '../client/connect.ts';
import { LIVE_STATUSES, type Project, type Run } from '../protocol/domain.ts';
import { isError, TrainstashError } from '../protocol/errors.ts';
import { projectOpen, queueSupply, runList } from '../protocol/messages.ts';
import type { Parsed } from './arguments.ts';
import { print, printJson } from './output.ts';
import { ask } from './terminal.ts';

const DEFAULT_WIDTH = 80;

/** The purpose of a command: what it is about to do with the project. */
export type Purpose = 'look' | 'write' | 'run';

/** The option of commands that do more than look. */
export const TRUST_OPTION = { trust: { type: 'boolean' } } as const;

export class Context {
  readonly args: Parsed;
  readonly root = process.cwd();
  readonly dist = dirname(fileURLToPath(import.meta.url));
  readonly isTerminal = process.stdout.isTTY === true;
  readonly width = process.stdout.columns || DEFAULT_WIDTH;
  readonly json: boolean;
  #client: Client | null = null;

  constructor(args: Parsed) {
    this.args = args;
    this.json = args.flag('json');
  }

  /** Connects, starting the daemon when there is none. */
  async client(): Promise<Client> {
    if (this.#client) return this.#client;
    const client = await this.reconnect();
    this.#client = client;
    // A server outlives a daemon.
    void client.closed.then(() => {
      if (this.#client === client) this.#client = null;
    });
    return client;
  }

  reconnect(): Promise<Client> {
    return connect({ name: 'command line', build: BUILD, dist: this.dist });
  }

  /** Null when no daemon runs; starts none. */
  async clientIfRunning(): Promise<Client | null> {
    try {
      this.#client ??= await connect({ name: 'command line', build: BUILD, dist: null });
      return this.#client;
    } catch (error) {
      if (error instanceof TrainstashError && error.code === 'daemonUnavailable') return null;
      throw error;
    }
  }

  /**
   * The client, with the project open. Looking trusts nothing: a command that starts something says `run`, and typing it is what trusts
   * the folder; one that puts files of the store elsewhere says `write`. For both a store that was made elsewhere is asked about.
   */
  async project(purpose: Purpose = 'look', options: { create?: boolean } = {}): Promise<Client> {
    const client = await this.client();
    const open = (acceptStore: boolean) =>
      client.request(projectOpen, { root: this.root, trusted: purpose === 'run', acceptStore, ...options });
    const given = purpose !== 'look' && this.args.flag('trust');
    let project: Project;
    try {
      project = await open(given);
      if (project.madeElsewhere && purpose !== 'look' && (await this.#mayUse(project.store)))
        project = await open(true);
    } catch (error) {
      if (!isError(error, 'storeElsewhere') || !(await this.#mayUse(error.data.store))) throw error;
      project = await open(true);
    }
    // Runs were queued with a daemon that is gone: what this shell has may be what they need.
    if (project.needEnvironment > 0 && project.trusted)
      await client.request(queueSupply, { root: this.root, environment: this.environment() });
    return client;
  }

  /** Asked once a store; where nobody can be asked, the request itself is refused. */
  #mayUse(store: string): Promise<boolean> {
    const text = `This store was made elsewhere: by another user or on another machine, or it is a copy (${store}). What it says would be run, and its files would be put where it says.`;
    return ask(this, `${text}\nDo you know where it comes from, and is it to be used?`);
  }

  /** The run that was named, or the only live one, or the newest. */
  async runOrDefault(name: string | undefined): Promise<string> {
    if (name !== undefined) return name;
    const { runs } = await (await this.project()).request(runList, { root: this.root, drafts: true, limit: 50 });
    const live = runs.filter((run) => LIVE_STATUSES.includes(run.status));
    if (live.length > 1) {
      throw new TrainstashError(
        'ambiguous',
        `${live.length} runs are live; name one: ${live.map((run) => run.number).join(', ')}.`,
        {
          what: 'run',
          query: '',
          matches: live.map((run) => run.name),
        },
      );
    }
    const chosen = live[0] ?? runs[0];
    if (!chosen)
      throw new TrainstashError('notFound', 'There are no runs yet. `trainstash run JOB` starts one.', {
        what: 'run',
        query: '',
      });
    return chosen.id;
  }

  /** The environment that this shell would give a training. */
  environment(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }

  /** One JSON document for machines, or lines for people. */
  answer(value: unknown, lines: readonly string[]): void {
    if (this.json) printJson(value);
    else for (const line of lines) print(`${line}\n`);
  }

  /** Lines for people. */
  readonly write = print;

  close(): void {
    this.#client?.close();
  }
}

export function hint(run: Run): string {
  return run.number > 0 ? String(run.number) : run.id;
}
