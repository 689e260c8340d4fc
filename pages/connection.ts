/** Connection to the daemon of this host: made on demand, and again when it is lost. Does not use `vscode`. */
import type { Client, Progress } from '../client/connect.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { daemonLeaving } from '../protocol/messages/daemon.ts';
import type { Notification, Request } from '../protocol/messages/request.ts';

/** First delay; doubled after each failed attempt. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 30_000;

export type ConnectionStatus =
  | { kind: 'off' }
  | { kind: 'connecting' }
  | { kind: 'ready' }
  /** `stopped`: someone stopped the daemon on purpose, so it is not restarted automatically. */
  | { kind: 'failed'; error: TrainstashError; stopped: boolean };

export interface ConnectionSetup {
  /** Connects. `start`: starts a daemon if none runs. Throws `daemonUnavailable`. */
  connect(start: boolean): Promise<Client>;
  log(text: string): void;
}

export class Connection {
  readonly #setup: ConnectionSetup;
  /** Handlers by method: a client takes only one for each. */
  readonly #notifications = new Map<string, ((params: never) => void)[]>();
  readonly #listeners = new Set<(status: ConnectionStatus) => void>();
  #status: ConnectionStatus = { kind: 'off' };
  #client: Client | null = null;
  #connecting: Promise<Client> | null = null;
  #retry: NodeJS.Timeout | null = null;
  #retryMs = FIRST_RETRY_MS;
  #disposed = false;

  constructor(setup: ConnectionSetup) {
    this.#setup = setup;
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  onStatus(listener: (status: ConnectionStatus) => void): void {
    this.#listeners.add(listener);
  }

  /** Registers a handler that survives reconnections. Returns a function that removes it. */
  on<P>(notification: Notification<P>, handler: (params: P) => void): () => void {
    const { method } = notification;
    const handlers = this.#notifications.get(method);
    if (handlers) handlers.push(handler as never);
    else {
      this.#notifications.set(method, [handler as never]);
      if (this.#client) this.#pass(this.#client, method);
    }
    return () => {
      const others = this.#notifications.get(method)!.filter((other) => other !== (handler as never));
      this.#notifications.set(method, others);
    };
  }

  #pass(client: Client, method: string): void {
    client.on({ method } as Notification<never>, (params) => {
      for (const handler of this.#notifications.get(method)!) handler(params);
    });
  }

  /** Sends a request; without a connection it connects first, and starts the daemon. */
  async request<P, R>(message: Request<P, R>, params: P, signal?: AbortSignal, progress?: Progress): Promise<R> {
    const client = await this.connect(true);
    return client.request(message, params, signal, progress);
  }

  /** Sends a background request that nobody waits for: it never starts a daemon. Throws `daemonUnavailable` without one. */
  async poll<P, R>(message: Request<P, R>, params: P): Promise<R> {
    if (this.#client) return this.#client.request(message, params);
    throw new TrainstashError('daemonUnavailable', 'The daemon is not connected.', { reason: 'not connected' });
  }

  connect(start: boolean): Promise<Client> {
    if (this.#client) return Promise.resolve(this.#client);
    this.#connecting ??= this.#connect(start).finally(() => {
      this.#connecting = null;
    });
    return this.#connecting;
  }

  dispose(): void {
    this.#disposed = true;
    if (this.#retry) clearTimeout(this.#retry);
    this.#client?.close();
  }

  async #connect(start: boolean): Promise<Client> {
    if (this.#retry) clearTimeout(this.#retry);
    // A look for a daemon that may not exist is not shown.
    if (start) this.#become({ kind: 'connecting' });
    try {
      const client = await this.#setup.connect(start);
      this.#take(client);
      return client;
    } catch (error) {
      const known =
        error instanceof TrainstashError
          ? error
          : new TrainstashError('daemonUnavailable', `The daemon cannot be started: ${(error as Error).message}`, {
              reason: (error as Error).message,
            });
      if (start) this.#become({ kind: 'failed', error: known, stopped: false });
      throw known;
    }
  }

  #take(client: Client): void {
    this.#client = client;
    this.#retryMs = FIRST_RETRY_MS;
    let leaving: 'asked' | 'handOver' | 'other' | null = null;
    client.on(daemonLeaving, ({ reason }) => {
      leaving = reason;
    });
    for (const method of this.#notifications.keys()) this.#pass(client, method);
    void client.closed.then(() => this.#lost(client, leaving));
    this.#become({ kind: 'ready' });
  }

  #lost(client: Client, leaving: 'asked' | 'handOver' | 'other' | null): void {
    if (this.#client !== client || this.#disposed) return;
    this.#client = null;
    this.#setup.log(`the connection to the daemon was closed (${leaving ?? 'without notice'})`);
    const text =
      leaving === 'asked' ? 'The daemon was stopped. Trainings continue.' : 'The daemon is gone. Trainings continue.';
    const error = new TrainstashError('daemonUnavailable', text, { reason: leaving ?? 'lost' });
    this.#become({ kind: 'failed', error, stopped: leaving === 'asked' });
    // A killed daemon is started again. One that was stopped, or is about to be replaced, is only waited for.
    this.#tryAgain(leaving === null);
  }

  #tryAgain(start: boolean): void {
    if (this.#disposed) return;
    this.#retry = setTimeout(() => {
      this.connect(start).catch(() => this.#tryAgain(start));
    }, this.#retryMs);
    this.#retryMs = Math.min(this.#retryMs * 2, start ? LAST_RETRY_MS : 4 * FIRST_RETRY_MS);
  }

  #become(status: ConnectionStatus): void {
    this.#status = status;
    for (const listener of this.#listeners) listener(status);
  }
}
