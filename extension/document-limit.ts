/** Keeps documents from the daemon that are too large for a message: it would have to end the connection of the whole window. */
import type * as vscode from 'vscode';
import type { Middleware } from 'vscode-languageclient/node';
import { MAX_DOCUMENT_CHARACTERS } from '../protocol/messages/request.ts';

/**
 * Makes the client's middleware. `forget` closes a document for the daemon: one into which too much was pasted is closed until it is
 * opened again.
 */
export function documentLimit(
  forget: (uri: vscode.Uri) => Promise<void>,
): Required<Pick<Middleware, 'didOpen' | 'didChange' | 'didClose' | 'didSave'>> {
  const told = new Set<string>();
  const isTold = ({ uri }: vscode.TextDocument) => told.has(uri.toString());
  return {
    didOpen: async (document, next) => {
      if (document.getText().length > MAX_DOCUMENT_CHARACTERS) return;
      told.add(document.uri.toString());
      await next(document);
    },
    didChange: async (event, next) => {
      const { document, contentChanges } = event;
      if (!isTold(document)) return;
      const size = contentChanges.reduce((sum, { text }) => sum + text.length, 0);
      if (size <= MAX_DOCUMENT_CHARACTERS) return next(event);
      told.delete(document.uri.toString());
      await forget(document.uri);
    },
    didClose: async (document, next) => {
      if (told.delete(document.uri.toString())) await next(document);
    },
    didSave: async (document, next) => {
      if (isTold(document)) await next(document);
    },
  };
}
