/** Answers of one language. The server converts positions to offsets into the text, and finds the language of a document. */
import type {
  CodeLens,
  CompletionItem,
  Hover,
  InlayHint,
  Location,
  Range,
  TextEdit,
} from 'vscode-languageserver-protocol';
import type { Finding } from './codes.ts';
import type { OpenDocument } from './document.ts';

export interface Language {
  diagnose(document: OpenDocument): Promise<Finding[]>;
  complete?(document: OpenDocument, offset: number): Promise<CompletionItem[]>;
  hover?(document: OpenDocument, offset: number): Promise<Hover | null>;
  define?(document: OpenDocument, offset: number): Promise<Location[]>;
  /** Returns the range that a rename would replace; null: nothing here can be renamed. */
  renameable?(document: OpenDocument, offset: number): Range | null;
  /** Returns the edits of a rename. Throws `paramInvalid` for a name that cannot be given. */
  rename?(document: OpenDocument, offset: number, name: string): TextEdit[];
  lenses?(document: OpenDocument): Promise<CodeLens[]>;
  hints?(document: OpenDocument, range: Range): Promise<InlayHint[]>;
}
