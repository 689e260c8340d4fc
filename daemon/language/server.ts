/**
 * Language server of one client, by the Language Server Protocol. It keeps the open documents, and tells the client of mistakes
 * as they are typed. It knows neither sockets nor projects: both are given to it.
 */
import type {
  CodeAction,
  CodeLens,
  DidChangeTextDocumentParams,
  DidOpenTextDocumentParams,
  InitializeParams,
  InitializeResult,
  Position,
  Range,
  TextDocumentIdentifier,
} from 'vscode-languageserver-protocol';
import { TextDocument } from 'vscode-languageserver-textdocument';
import { MAX_DOCUMENT_CHARACTERS } from '../../protocol/messages/request.ts';
import { diagnosticOf, type Finding } from './codes.ts';
import { configLanguage, isConfig } from './config/config.ts';
import { type OpenDocument, openDocument, pathOf } from './document.ts';
import { type DescribeFile, type FactsOf, runsOf } from './facts.ts';
import type { Language } from './language.ts';
import { type DidChangeNotebook, type DidOpenNotebook, movedAnswer, Notebook } from './notebooks.ts';
import { type LanguagePeer, type LanguageService, UnknownMethod } from './peer.ts';
import { pythonLanguage } from './python-scripts/language.ts';
import type { PythonReader } from './python-scripts/reader.ts';
import { lensesOf } from './python-scripts/runs.ts';

/** Rest after the last key before a document is looked at. */
const REST_MS = 150;
/** Rest between two requests to draw lenses again. */
const REFRESH_MS = 2_000;
const INCREMENTAL = 2;
/** Notifications after which what stands above a script may be another. */
const CHANGES_LENSES = new Set(['run/changed', 'checkpoint/changed', 'project/changed']);
/** Documents above which runs are shown: scripts of any language. Of most of them only the name matters, so they are not synchronized. */
const SCRIPTS = [
  ...['python', 'typescript', 'javascript'].map((language) => ({ scheme: 'file', language })),
  { scheme: 'vscode-notebook-cell', language: 'python' },
];

export interface LanguageSetup {
  peer: LanguagePeer;
  factsOf: FactsOf;
  python: PythonReader;
  describe: DescribeFile;
  /** Folder of the pages that diagnostics link to. */
  docs: string;
  version: string;
  log(text: string): void;
}

/** Options that a client may send with `initialize`. */
interface Options {
  /** Mistakes of JSON itself are told by the editor already. */
  editorChecksJson?: boolean;
  /** The editor has the commands of the VS Code extension, which lenses call. */
  commands?: boolean;
  /** Last values are wanted beside what a script reports. */
  hints?: boolean;
}

type Place = { textDocument: TextDocumentIdentifier; position: Position };

interface Open {
  document: OpenDocument;
  language: Language | null;
}

type NotebookId = { notebookDocument: { uri: string } };

export class LanguageServer implements LanguageService {
  readonly #setup: LanguageSetup;
  readonly #open = new Map<string, Open>();
  readonly #notebooks = new Map<string, Notebook>();
  /** Looks that are due, by the document or notebook. */
  readonly #due = new Map<string, NodeJS.Timeout>();
  /** Findings of the newest look, by the document or cell. */
  readonly #findings = new Map<string, Finding[]>();
  #config: Language;
  #python: Language;
  /** The client is told when what stands above scripts may be another. */
  #refreshes = false;
  #refreshing: NodeJS.Timeout | null = null;
  /** The client shows runs above scripts whose text it does not send. */
  #drawsForAll = false;

  constructor(setup: LanguageSetup) {
    this.#setup = setup;
    this.#config = configLanguage(setup.factsOf, true);
    this.#python = this.#pythonFor({});
  }

  /** Answers a request. Rejects with `UnknownMethod`, or with what the language throws. */
  async answer(method: string, params: unknown): Promise<unknown> {
    const handle = this.#requests[method];
    if (!handle) throw new UnknownMethod(`There is no method "${method}".`);
    return (await handle(params as never)) ?? null;
  }

  /** Takes a notification; unknown ones are ignored, as the protocol asks. */
  take(method: string, params: unknown): void {
    try {
      this.#notifications[method]?.(params as never);
    } catch (error) {
      this.#setup.log(`language: ${method}: ${(error as Error).message}`);
    }
  }

  heard(method: string): void {
    if (CHANGES_LENSES.has(method)) this.#refresh();
  }

  dispose(): void {
    for (const timer of this.#due.values()) clearTimeout(timer);
    if (this.#refreshing) clearTimeout(this.#refreshing);
    this.#due.clear();
    this.#open.clear();
    this.#notebooks.clear();
  }

  readonly #requests: Record<string, (params: never) => unknown> = {
    initialize: (params: InitializeParams) => this.#initialize(params),
    shutdown: () => null,
    'textDocument/completion': (at: Place) => this.#at(at, (language, one, offset) => language.complete?.(one, offset)),
    'textDocument/hover': (at: Place) => this.#at(at, (language, one, offset) => language.hover?.(one, offset)),
    'textDocument/definition': (at: Place) => this.#at(at, (language, one, offset) => language.define?.(one, offset)),
    'textDocument/prepareRename': (at: Place) =>
      this.#at(at, (language, one, offset) => language.renameable?.(one, offset)),
    'textDocument/rename': (params: Place & { newName: string }) =>
      this.#at(params, (language, one, offset) => {
        const edits = language.rename?.(one, offset, params.newName) ?? [];
        return edits.length > 0 ? { changes: { [one.uri]: edits } } : null;
      }),
    'textDocument/codeAction': ({
      textDocument: { uri },
      range,
    }: {
      textDocument: TextDocumentIdentifier;
      range: Range;
    }) => actionsOf(uri, this.#findings.get(uri) ?? [], range, this.#setup.docs),
    'textDocument/codeLens': ({ textDocument }: { textDocument: TextDocumentIdentifier }) =>
      this.#shares(textDocument.uri)
        ? this.#in(textDocument, (language, one) => language.lenses?.(one))
        : this.#lensesOf(pathOf(textDocument.uri)),
    'textDocument/inlayHint': ({ textDocument, range }: { textDocument: TextDocumentIdentifier; range: Range }) =>
      this.#in(textDocument, (language, one, line) => language.hints?.(one, rangeBelow(range, line))),
  };

  readonly #notifications: Record<string, (params: never) => void> = {
    initialized: () => {
      if (!this.#drawsForAll) return;
      const codeLens = {
        id: 'scripts',
        method: 'textDocument/codeLens',
        registerOptions: { documentSelector: SCRIPTS },
      };
      this.#setup.peer.ask('client/registerCapability', { registrations: [codeLens] });
    },
    'textDocument/didOpen': ({ textDocument: { uri, languageId, version, text } }: DidOpenTextDocumentParams) => {
      if (typeof uri !== 'string' || typeof text !== 'string') return;
      const document = openDocument(uri, languageId, version, text);
      this.#open.set(uri, { document, language: this.#languageOf(document) });
      this.#look(uri, 0);
    },
    'textDocument/didChange': ({ textDocument: { uri, version }, contentChanges }: DidChangeTextDocumentParams) => {
      const open = this.#open.get(uri);
      if (!open) return;
      open.document = { ...open.document, text: TextDocument.update(open.document.text, contentChanges, version) };
      this.#look(uri, REST_MS);
    },
    'textDocument/didClose': ({ textDocument: { uri } }: { textDocument: TextDocumentIdentifier }) => {
      const open = this.#open.get(uri);
      if (!open) return;
      this.#open.delete(uri);
      if (open.language) this.#forget(uri, [uri]);
    },
    // Scripts and modules beside a configuration may have come or gone.
    'textDocument/didSave': () => this.#lookAtAll(),
    'notebookDocument/didOpen': (params: DidOpenNotebook) => {
      this.#notebooks.set(params.notebookDocument.uri, new Notebook(params));
      this.#look(params.notebookDocument.uri, 0);
    },
    'notebookDocument/didChange': (params: DidChangeNotebook) => {
      this.#notebooks.get(params.notebookDocument.uri)?.change(params);
      this.#look(params.notebookDocument.uri, REST_MS);
    },
    'notebookDocument/didClose': ({ notebookDocument: { uri } }: NotebookId) => {
      const cells = this.#notebooks.get(uri)?.cells ?? [];
      this.#notebooks.delete(uri);
      this.#forget(uri, cells);
    },
  };

  #initialize({ initializationOptions, capabilities }: InitializeParams): InitializeResult {
    const options = (initializationOptions ?? {}) as Options;
    this.#config = configLanguage(this.#setup.factsOf, !options.editorChecksJson);
    this.#python = this.#pythonFor(options);
    this.#refreshes = capabilities?.workspace?.codeLens?.refreshSupport === true;
    this.#drawsForAll = options.commands === true && capabilities?.textDocument?.codeLens?.dynamicRegistration === true;
    return {
      serverInfo: { name: 'trainstash', version: this.#setup.version },
      capabilities: {
        positionEncoding: 'utf-16',
        textDocumentSync: { openClose: true, change: INCREMENTAL, save: { includeText: false } },
        notebookDocumentSync: { notebookSelector: [{ cells: [{ language: 'python' }] }] },
        completionProvider: { triggerCharacters: ['"', '$', '{', '/', ':', ' '] },
        hoverProvider: true,
        definitionProvider: true,
        renameProvider: { prepareProvider: true },
        ...(this.#drawsForAll ? {} : { codeLensProvider: { resolveProvider: false } }),
        inlayHintProvider: options.hints === true,
        codeActionProvider: { codeActionKinds: ['quickfix'] },
      },
    };
  }

  /** Asks the client, at most once in a while, to ask again for what the runs have changed. */
  #refresh(): void {
    if (!this.#refreshes || this.#refreshing) return;
    this.#refreshing = setTimeout(() => {
      this.#refreshing = null;
      this.#setup.peer.ask('workspace/codeLens/refresh');
    }, REFRESH_MS);
  }

  #pythonFor({ commands = false, hints = false }: Options): Language {
    const { python: reader, factsOf, describe } = this.#setup;
    return pythonLanguage({ reader, factsOf, describe }, { commands, hints });
  }

  #languageOf({ uri, text }: OpenDocument): Language | null {
    if (isConfig(uri)) return this.#config;
    return text.languageId === 'python' ? this.#python : null;
  }

  #lookAtAll(): void {
    for (const uri of this.#open.keys()) this.#look(uri, REST_MS);
  }

  /** Looks at a document after a rest, and publishes what it finds. */
  #look(uri: string, after: number): void {
    if (!this.#open.get(uri)?.language && !this.#notebooks.has(uri)) return;
    clearTimeout(this.#due.get(uri));
    const timer = setTimeout(() => {
      this.#due.delete(uri);
      const notebook = this.#notebooks.get(uri);
      const look = notebook ? this.#diagnoseNotebook(uri, notebook) : this.#diagnose(uri);
      look.catch((error: Error) => this.#setup.log(`language: ${uri}: ${error.stack}`));
    }, after);
    this.#due.set(uri, timer);
  }

  #forget(uri: string, documents: readonly string[]): void {
    clearTimeout(this.#due.get(uri));
    this.#due.delete(uri);
    for (const document of documents) this.#publish(document, undefined, []);
  }

  async #diagnose(uri: string): Promise<void> {
    const open = this.#open.get(uri);
    if (!open?.language || open.document.text.getText().length > MAX_DOCUMENT_CHARACTERS) return;
    const { document, language } = open;
    const findings = await this.#findingsIn(language, document);
    // A newer text has a look of its own.
    if (this.#open.get(uri)?.document === document) this.#publish(uri, document.text.version, findings);
  }

  /** Looks at a text. One that cannot be read has no marks: those of the text before stand at other places now. */
  #findingsIn(language: Language, document: OpenDocument): Promise<Finding[]> {
    return language.diagnose(document).catch((error: Error) => {
      this.#setup.log(`language: ${document.uri}: ${error.stack}`);
      return [];
    });
  }

  async #diagnoseNotebook(uri: string, notebook: Notebook): Promise<void> {
    const { document, placeOf } = notebook.script(uri);
    if (document.text.getText().length > MAX_DOCUMENT_CHARACTERS) return;
    const findings = await this.#findingsIn(this.#python, document);
    const placed = findings.flatMap((finding) => placeOf(finding) ?? []);
    for (const cell of notebook.cells)
      this.#publish(
        cell,
        undefined,
        placed.flatMap((one) => (one.uri === cell ? [one.finding] : [])),
      );
  }

  #publish(uri: string, version: number | undefined, findings: Finding[]): void {
    if (findings.length > 0) this.#findings.set(uri, findings);
    else this.#findings.delete(uri);
    const diagnostics = findings.map((finding) => diagnosticOf(finding, this.#setup.docs));
    this.#setup.peer.notify('textDocument/publishDiagnostics', { uri, version, diagnostics });
  }

  /** Answers for a document. Of a cell the notebook's script is asked; `line` is where the cell begins in it. */
  async #in<T>(
    { uri }: TextDocumentIdentifier,
    answer: (language: Language, document: OpenDocument, line: number) => Promise<T> | T,
  ): Promise<T | null> {
    const cell = this.#cellAt(uri);
    const open = this.#open.get(uri);
    if (!cell) {
      if (!open?.language || open.document.text.getText().length > MAX_DOCUMENT_CHARACTERS) return null;
      return answer(open.language, open.document, 0);
    }
    const { line, lines, document } = cell;
    const found = await answer(this.#python, document, line);
    const back = (one: object) => movedAnswer(one, -line);
    if (!Array.isArray(found)) return found && (back(found) as T);
    const own = found.map(back).filter((one) => {
      const at = placeOf(one);
      return at === undefined || (at >= 0 && at < lines);
    });
    return own as T;
  }

  /** Makes lenses above a script of which only the name is known. */
  async #lensesOf(path: string | null): Promise<CodeLens[]> {
    const runs = path === null || !this.#drawsForAll ? null : await runsOf(this.#setup.factsOf, path);
    return runs ? lensesOf({ start: null }, runs) : [];
  }

  /** Tells whether the client sends the text of a document. */
  #shares(uri: string): boolean {
    return this.#open.has(uri) || this.#cellAt(uri) !== null;
  }

  #cellAt(uri: string): { document: OpenDocument; line: number; lines: number } | null {
    for (const [address, notebook] of this.#notebooks) {
      if (!notebook.cells.includes(uri)) continue;
      const { document, linesOf } = notebook.script(address);
      const place = linesOf(uri);
      if (!place || document.text.getText().length > MAX_DOCUMENT_CHARACTERS) return null;
      return { document, ...place };
    }
    return null;
  }

  #at<T>(
    { textDocument, position }: Place,
    answer: (language: Language, document: OpenDocument, offset: number) => Promise<T> | T,
  ): Promise<T | null> {
    return this.#in(textDocument, (language, document, line) =>
      answer(language, document, document.text.offsetAt({ ...position, line: position.line + line })),
    );
  }
}

/** Returns the line at which an answer stands; undefined: it stands at no place of this document. */
function placeOf({ uri, range, position }: { uri?: string; range?: Range; position?: Position }): number | undefined {
  return uri === undefined ? (range?.start.line ?? position?.line) : undefined;
}

function rangeBelow({ start, end }: Range, lines: number): Range {
  return { start: { ...start, line: start.line + lines }, end: { ...end, line: end.line + lines } };
}

/** Makes quick fixes for the findings that a range touches. */
function actionsOf(uri: string, findings: readonly Finding[], range: Range, docs: string): CodeAction[] {
  const touched = findings.filter(
    (finding) => !isBefore(finding.range.end, range.start) && !isBefore(range.end, finding.range.start),
  );
  return touched.flatMap((finding) =>
    (finding.fixes ?? []).map(({ title, edits }, index) => ({
      title,
      kind: 'quickfix',
      diagnostics: [diagnosticOf(finding, docs)],
      isPreferred: index === 0,
      edit: { changes: { [uri]: edits } },
    })),
  );
}

function isBefore(a: Position, b: Position): boolean {
  return a.line < b.line || (a.line === b.line && a.character < b.character);
}
