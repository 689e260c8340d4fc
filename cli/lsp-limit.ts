/** Keeps documents from the daemon that are too large for it: an editor may send every JSON file that is opened, data sets too. */
import type { Message } from 'vscode-jsonrpc/node';
import { MAX_DOCUMENT_CHARACTERS } from '../protocol/messages/request.ts';

/** Limit for one message of an editor, which is trusted as its user is. */
export const MAX_EDITOR_BYTES = 1 << 29;

interface OfDocument {
  textDocument?: { uri?: unknown; text?: unknown };
  contentChanges?: unknown;
}

type Wire = Message & { id?: number | string; method?: string; params?: unknown };

export class DocumentLimit {
  readonly #tooLarge = new Set<unknown>();

  /** Returns the message that the daemon gets in the place of one; null: none. A document that grows too large is closed for it. */
  pass(wire: Wire): Wire | null {
    const { textDocument, contentChanges } = (wire.params ?? {}) as OfDocument;
    // Requests about such a document are answered as about any that is not open.
    if (!textDocument || wire.id !== undefined) return wire;
    const { uri } = textDocument;
    if (wire.method === 'textDocument/didOpen') {
      this.#tooLarge.delete(uri);
      if (lengthOf(textDocument) <= MAX_DOCUMENT_CHARACTERS) return wire;
      this.#tooLarge.add(uri);
      return null;
    }
    if (this.#tooLarge.has(uri)) {
      if (wire.method === 'textDocument/didClose') this.#tooLarge.delete(uri);
      return null;
    }
    const changes = Array.isArray(contentChanges) ? contentChanges : [];
    if (changes.reduce((sum: number, change) => sum + lengthOf(change), 0) <= MAX_DOCUMENT_CHARACTERS) return wire;
    this.#tooLarge.add(uri);
    return { ...wire, method: 'textDocument/didClose', params: { textDocument: { uri } } } as Wire;
  }
}

function lengthOf(part: { text?: unknown } | null): number {
  return typeof part?.text === 'string' ? part.text.length : 0;
}
