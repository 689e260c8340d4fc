/** An editor's end of the Language Server Protocol, over a real `trainstash lsp`. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import {
  createMessageConnection,
  type MessageConnection,
  StreamMessageReader,
  StreamMessageWriter,
} from 'vscode-jsonrpc/node';
import type {
  CodeAction,
  CompletionItem,
  Diagnostic,
  InitializeResult,
  Position,
} from 'vscode-languageserver-protocol';
import { afterwards } from './cleanup.ts';
import type { Fixture } from './daemon.ts';
import { until } from './folder.ts';
import { DIST } from './trainer.ts';

export class TestEditor {
  readonly child: ChildProcess;
  readonly connection: MessageConnection;
  readonly #published = new Map<string, { version: number | undefined; diagnostics: Diagnostic[] }>();
  readonly #versions = new Map<string, number>();
  result: InitializeResult | null = null;

  constructor(fixture: Pick<Fixture, 'root' | 'env'>) {
    this.child = spawn(process.execPath, [join(DIST, 'trainstash.js'), 'lsp'], {
      cwd: fixture.root,
      env: fixture.env,
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.connection = createMessageConnection(
      new StreamMessageReader(this.child.stdout!),
      new StreamMessageWriter(this.child.stdin!),
    );
    this.connection.onNotification('textDocument/publishDiagnostics', ({ uri, version, diagnostics }) => {
      this.#published.set(uri, { version, diagnostics });
    });
    this.connection.onRequest(() => null);
    this.connection.onError(() => {});
    this.connection.listen();
    afterwards(() => {
      this.connection.dispose();
      this.child.kill();
    });
  }

  async initialize(options: object = {}): Promise<InitializeResult> {
    const capabilities = { workspace: { codeLens: { refreshSupport: true } } };
    this.result = await this.request<InitializeResult>('initialize', {
      processId: process.pid,
      rootUri: null,
      capabilities,
      initializationOptions: options,
    });
    await this.connection.sendNotification('initialized', {});
    return this.result;
  }

  request<T>(method: string, params?: unknown): Promise<T> {
    return this.connection.sendRequest<T>(method, params);
  }

  /** Opens a document and returns what is published for it. */
  async open(path: string, text: string, language = 'jsonc'): Promise<Diagnostic[]> {
    const uri = uriOf(path);
    this.#published.delete(uri);
    this.#versions.set(uri, 1);
    await this.connection.sendNotification('textDocument/didOpen', {
      textDocument: { uri, languageId: language, version: 1, text },
    });
    return this.published(path);
  }

  /** Replaces the text of an open document and returns what is published for it. */
  async change(path: string, text: string): Promise<Diagnostic[]> {
    const uri = uriOf(path);
    const version = this.#versions.get(uri)! + 1;
    this.#versions.set(uri, version);
    await this.connection.sendNotification('textDocument/didChange', {
      textDocument: { uri, version },
      contentChanges: [{ text }],
    });
    return this.published(path);
  }

  /** Returns the diagnostics of the newest version of a document. */
  published(path: string): Promise<Diagnostic[]> {
    const uri = uriOf(path);
    return until(`diagnostics of ${path}`, () => {
      const found = this.#published.get(uri);
      return found?.version === this.#versions.get(uri) ? found!.diagnostics : undefined;
    });
  }

  ask<T>(method: string, path: string, position: Position, more: object = {}): Promise<T> {
    return this.request<T>(`textDocument/${method}`, { textDocument: { uri: uriOf(path) }, position, ...more });
  }

  complete(path: string, position: Position): Promise<CompletionItem[]> {
    return this.ask('completion', path, position);
  }

  actions(path: string, { range, ...diagnostic }: Diagnostic): Promise<CodeAction[]> {
    return this.request('textDocument/codeAction', {
      textDocument: { uri: uriOf(path) },
      range,
      context: { diagnostics: [{ range, ...diagnostic }] },
    });
  }
}

export function uriOf(path: string): string {
  return pathToFileURL(path).href;
}

/** Splits a text at its cursor, `|`. */
export function cursor(marked: string): { text: string; position: Position } {
  const before = marked.slice(0, marked.indexOf('|'));
  const lines = before.split('\n');
  return { text: marked.replace('|', ''), position: { line: lines.length - 1, character: lines.at(-1)!.length } };
}
