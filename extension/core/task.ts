/** Sends requests that take long, with progress in a notification and a button that cancels. */
import * as vscode from 'vscode';
import { TaskRequests } from '../../pages/tasks.ts';
import { isError } from '../../protocol/errors.ts';
import type { Request } from '../../protocol/messages/request.ts';

export class Tasks extends TaskRequests {
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
}
