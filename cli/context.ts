/** What every command has: the connection, the folder, and where its answer goes. */
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { BUILD } from '../client/build.ts';
import { type Client, connect } from '../client/connect.ts';
import { LIVE_STATUSES, type Run } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { projectOpen, queueSupply, runList } from '../protocol/messages.ts';
import type { Parsed } from './arguments.ts';
import { print, printJson } from './output.ts';

const DEFAULT_WIDTH = 80;

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

  /** The client, with the project open. Typing a command in a folder is what trusts it. */
  async project(options: { create?: boolean } = {}): Promise<Client> {
    const client = await this.client();
    const { needEnvironment } = await client.request(projectOpen, { root: this.root, trusted: true, ...options });
    // Of a daemon that is gone: what this shell has may be what they need.
    if (needEnvironment > 0) await client.request(queueSupply, { root: this.root, environment: this.environment() });
    return client;
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
