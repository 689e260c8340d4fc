/** Sends requests that take long, and tells how far they are. */
import { randomUUID } from 'node:crypto';
import { taskProgressed } from '../protocol/messages/daemon.ts';
import type { Request } from '../protocol/messages/request.ts';
import { bytes } from '../protocol/words.ts';
import type { Connection } from './connection.ts';

type Listener = (done: number, total: number) => void;

export class TaskRequests {
  readonly #connection: Pick<Connection, 'request'>;
  readonly #listeners = new Map<string, Listener>();

  constructor(connection: Pick<Connection, 'request' | 'on'>) {
    this.#connection = connection;
    connection.on(taskProgressed, ({ task, done, total }) => this.#listeners.get(task)?.(done, total));
  }

  /** Sends a request. `progress` gets the share that is done, and the same in words. */
  async request<P extends { task?: string | undefined }, R>(
    message: Request<P, R>,
    params: P,
    progress: (share: number, words: string) => void,
    signal: AbortSignal,
  ): Promise<R> {
    const task = randomUUID();
    this.#listeners.set(task, (done, total) => {
      if (total > 0) progress(done / total, `${bytes(done)} of ${bytes(total)}`);
    });
    try {
      return await this.#connection.request(message, { ...params, task }, signal);
    } finally {
      this.#listeners.delete(task);
    }
  }
}
