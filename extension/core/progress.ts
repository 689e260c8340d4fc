/** Sends a request that takes long, with its progress in a notification that has a button to cancel it. */
import * as vscode from 'vscode';
import type { Connection } from '../../pages/connection.ts';
import { isError } from '../../protocol/errors.ts';
import type { Request } from '../../protocol/messages/request.ts';
import { bytes } from '../../protocol/words.ts';

/** Sends the request. Undefined: cancelled. */
export async function requestWithProgress<P extends { task?: string | undefined }, R>(
  connection: Connection,
  title: string,
  message: Request<P, R>,
  params: P,
): Promise<R | undefined> {
  const options = { location: vscode.ProgressLocation.Notification, title, cancellable: true };
  return vscode.window.withProgress(options, async (progress, token) => {
    const cancel = new AbortController();
    token.onCancellationRequested(() => cancel.abort());
    let shown = 0;
    const show = (done: number, total: number) => {
      if (total === 0) return;
      const share = (100 * done) / total;
      progress.report({ increment: share - shown, message: `${bytes(done)} of ${bytes(total)}` });
      shown = share;
    };
    try {
      return await connection.request(message, params, cancel.signal, show);
    } catch (error) {
      if (isError(error, 'cancelled')) return undefined;
      throw error;
    }
  });
}
