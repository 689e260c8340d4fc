/** An open document, and what both languages do with places in it. */
import { fileURLToPath } from 'node:url';
import type { Range } from 'vscode-languageserver-protocol';
import { TextDocument } from 'vscode-languageserver-textdocument';

export interface OpenDocument {
  uri: string;
  /** Path of the file; null: it has none yet, or lies elsewhere than on this machine. */
  path: string | null;
  text: TextDocument;
}

export function openDocument(uri: string, language: string, version: number, text: string): OpenDocument {
  return { uri, path: pathOf(uri), text: TextDocument.create(uri, language, version, text) };
}

/** Returns the range of a part of the text. */
export function rangeOf(text: TextDocument, offset: number, length: number): Range {
  return { start: text.positionAt(offset), end: text.positionAt(offset + length) };
}

/** Returns the path of a file; null: it lies elsewhere than on this machine. */
export function pathOf(uri: string): string | null {
  try {
    return uri.startsWith('file:') ? fileURLToPath(uri) : null;
  } catch {
    return null;
  }
}
