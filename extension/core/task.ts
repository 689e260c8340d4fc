/** Sends requests that take long, with progress in a notification and a button that cancels. */
import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import { isError } from '../../protocol/errors.ts';
import { taskProgressed } from '../../protocol/messages/daemon.ts';
import type { Request } from '../../protocol/messages/request.ts';
import { bytes } from '../../protocol/words.ts';
import type { Connection } from './connection.ts';

type Listener = (done: number, total: number) => void;

export class Tasks {
  readonly #connection: Connection;
  readonly #listeners = new Map<string, Listener>();

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.on(taskProgressed, ({ task, done, total }) => this.#listeners.get(task)?.(done, total));
  }

  /** Sends a request with a progress notification. Undefined: cancelled. */
  async run<P extends { task?: string | undefined }, R>(
    title: string,
    message: Request<P, R>,
    params: P,
  ): Promise<R | undefined> {
    const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
    return vscode.window.withProgress(options, async (progress, token) => {
      const cancel = new AbortController();
      token.onCancellationRequested(() => cancel.abort());
      let shown = 0;
      const show = (share: number, words: string) => {
        progress.report({ increment: 100 * share - shown, message: words });
        shown = 100 * share;
      };
      try {
        return await this.request(message, params, show, cancel.signal);
      } catch (error) {
        if (isError(error, 'cancelled')) return undefined;
        throw error;
      }
    });
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
