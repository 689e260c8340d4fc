/** Notebooks as editors tell them: their code cells are one script, in their order. */
import type { Position, Range } from 'vscode-languageserver-protocol';
import { TextDocument, type TextDocumentContentChangeEvent } from 'vscode-languageserver-textdocument';
import type { Finding, Fix } from './codes.ts';
import { type OpenDocument, openDocument } from './document.ts';

const CODE = 2;

interface Cell {
  kind: number;
  /** Address of the cell's text. */
  document: string;
}

interface CellText {
  uri: string;
  languageId: string;
  version: number;
  text: string;
}

export interface DidOpenNotebook {
  notebookDocument: { uri: string; cells: Cell[] };
  cellTextDocuments: CellText[];
}

export interface DidChangeNotebook {
  notebookDocument: { uri: string };
  change: {
    cells?: {
      structure?: {
        array: { start: number; deleteCount: number; cells?: Cell[] };
        didOpen?: CellText[];
        didClose?: { uri: string }[];
      };
      textContent?: { document: { uri: string; version: number }; changes: TextDocumentContentChangeEvent[] }[];
    };
  };
}

export class Notebook {
  readonly #texts = new Map<string, TextDocument>();
  #cells: Cell[];
  /** Null: a cell has changed since it was made. */
  #script: NotebookScript | null = null;

  constructor({ notebookDocument, cellTextDocuments }: DidOpenNotebook) {
    this.#cells = [...notebookDocument.cells];
    for (const text of cellTextDocuments) this.#open(text);
  }

  change({ change: { cells } }: DidChangeNotebook): void {
    this.#script = null;
    const { structure, textContent } = cells ?? {};
    if (structure) {
      const { start, deleteCount, cells: added = [] } = structure.array;
      this.#cells.splice(start, deleteCount, ...added);
      for (const { uri } of structure.didClose ?? []) this.#texts.delete(uri);
      for (const text of structure.didOpen ?? []) this.#open(text);
    }
    for (const { document, changes } of textContent ?? []) {
      const before = this.#texts.get(document.uri);
      if (before) this.#texts.set(document.uri, TextDocument.update(before, changes, document.version));
    }
  }

  /** Lists the addresses of all cells with a text. */
  get cells(): string[] {
    return [...this.#texts.keys()];
  }

  /** Makes one script of the code cells. Lines for IPython (`%time`, `!pip`) become comments of the same length. */
  script(uri: string): NotebookScript {
    this.#script ??= this.#join(uri);
    return this.#script;
  }

  #join(uri: string): NotebookScript {
    const parts: { uri: string; line: number; lines: number }[] = [];
    const lines: string[] = [];
    for (const { kind, document } of this.#cells) {
      const text = this.#texts.get(document);
      if (kind !== CODE || text?.languageId !== 'python') continue;
      const own = text.getText().split(/\r?\n/);
      parts.push({ uri: document, line: lines.length, lines: own.length });
      // A cell for another language, such as `%%bash`, has no Python.
      const isForeign = /^\s*%%(?!time\b|timeit\b|capture\b|prun\b)/.test(own[0] ?? '');
      lines.push(
        ...own.map((line) =>
          isForeign || /^\s*[%!?]/.test(line) ? line.replace(/\S.*/, (rest) => `#${rest.slice(1)}`) : line,
        ),
      );
    }
    const partAt = (line: number) => parts.findLast((part) => part.line <= line);
    return {
      document: openDocument(uri, 'python', 1, lines.join('\n')),
      linesOf: (cell) => parts.find((part) => part.uri === cell) ?? null,
      placeOf: (finding) => {
        const part = partAt(finding.range.start.line);
        if (!part) return null;
        const fixes = finding.fixes?.map((fix) => ({
          ...fix,
          edits: fix.edits.map((edit) => ({ ...edit, range: moved(edit.range, -part.line) })),
        }));
        // A fix that reaches into another cell would have to change several documents.
        const own = fixes?.filter(({ edits }) =>
          edits.every(({ range }) => range.start.line >= 0 && range.end.line < part.lines),
        );
        return {
          uri: part.uri,
          finding: { ...finding, range: moved(finding.range, -part.line), fixes: own as Fix[] | undefined },
        };
      },
    };
  }

  #open({ uri, languageId, version, text }: CellText): void {
    this.#texts.set(uri, TextDocument.create(uri, languageId, version, text));
  }
}

export interface NotebookScript {
  document: OpenDocument;
  /** Returns the lines of a code cell in the script; null: it has none there. */
  linesOf(cell: string): { line: number; lines: number } | null;
  /** Finds the cell of a finding, and the finding's place in it. */
  placeOf(finding: Finding): Placed | null;
}

export interface Placed {
  uri: string;
  finding: Finding;
}

/** Moves what an editor is answered by lines, where it has a place in the document. */
export function movedAnswer<T extends object>(answer: T, lines: number): T {
  // A place in another document stays.
  if ('uri' in answer) return answer;
  const { range, position, textEdit } = answer as { range?: Range; position?: Position; textEdit?: { range: Range } };
  return {
    ...answer,
    ...(range && { range: moved(range, lines) }),
    ...(position && { position: { ...position, line: position.line + lines } }),
    ...(textEdit && { textEdit: { ...textEdit, range: moved(textEdit.range, lines) } }),
  };
}

function moved({ start, end }: Range, lines: number): Range {
  return { start: { ...start, line: start.line + lines }, end: { ...end, line: end.line + lines } };
}
