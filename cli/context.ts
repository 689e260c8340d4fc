/** Context of a command: the connection, the folder, and the output. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD } from '../base/build.ts';
import { type Client, connect } from '../client/connect.ts';
import type { Project, Run } from '../protocol/domain.ts';
import { isError, TrainstashError } from '../protocol/errors.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import { queueSupply, runList } from '../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import type { Parsed } from './arguments.ts';
import { print, printJson } from './output.ts';
import { ask } from './terminal.ts';

const DEFAULT_WIDTH = 80;

/** Purpose of a command: its planned use of the project. */
export type Purpose = 'look' | 'write' | 'run';

/** Option of commands that do more than look. */
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

  /** Connects to the daemon, and starts it if there is none. */
  async client(): Promise<Client> {
    if (this.#client) return this.#client;
    const client = await this.reconnect();
    this.#client = client;
    // This process (an MCP server) may outlive a daemon.
    void client.closed.then(() => {
      if (this.#client === client) this.#client = null;
    });
    return client;
  }

  reconnect(): Promise<Client> {
    return connect({ name: 'command line', build: BUILD, dist: this.dist });
  }

  /** Connects to a running daemon, or returns null; never starts one. */
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
   * Returns the client with the project open. `look` trusts nothing. A command that starts something passes `run`: typing it trusts
   * the folder. One that puts files of the store elsewhere passes `write`. Both ask before using a store that was made elsewhere.
   */
  async project(purpose: Purpose = 'look', options: { create?: boolean } = {}): Promise<Client> {
    return (await this.opened(purpose, options)).client;
  }

  /** Does the same, and returns the project too. */
  async opened(
    purpose: Purpose = 'look',
    options: { create?: boolean } = {},
  ): Promise<{ client: Client; project: Project }> {
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
    // A daemon that is gone had queued runs: this shell's environment may be the one they need.
    if (project.needEnvironment > 0 && project.trusted)
      await client.request(queueSupply, { root: this.root, environment: this.environment() });
    return { client, project };
  }

  /** Asks once per store. Where nobody can be asked, the request itself is refused. */
  #mayUse(store: string): Promise<boolean> {
    const text = `The store ${store} was made elsewhere: by another user, on another machine, or as a copy. Using it runs the commands in it and writes its files to the paths in it.`;
    return ask(this, `${text}\nDo you know where it comes from, and do you want to use it?`);
  }

  /** Returns `name`, else the number of the only live run, else that of the newest. */
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

  /** Returns the environment that this shell gives a training. */
  environment(): Record<string, string> {
    return Object.fromEntries(
      Object.entries(process.env).filter((entry): entry is [string, string] => entry[1] !== undefined),
    );
  }

  /** Prints one JSON document for machines, or lines for people. */
  answer(value: unknown, lines: readonly string[]): void {
    if (this.json) printJson(value);
    else for (const line of lines) print(`${line}\n`);
  }

  /** Prints lines for people. */
  readonly write = print;

  close(): void {
    this.#client?.close();
  }
}

export function hint(run: Run): string {
  return run.number > 0 ? String(run.number) : run.id;
}
