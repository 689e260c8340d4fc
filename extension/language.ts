/** Starts the language client as soon as there is a daemon and a document for it, and again after either was gone. */
import { basename } from 'node:path';
import * as vscode from 'vscode';
import { CONFIG_FILES } from '../protocol/config-file.ts';
import type { App } from './core/app.ts';

export class LanguageFeatures {
  readonly #app: App;
  readonly #opened: vscode.Disposable;
  /** Null: none was started, or it has lost its server. */
  #client: Promise<{ dispose(): Promise<void> } | null> | null = null;
  #disposed = false;

  constructor(app: App) {
    this.#app = app;
    this.#opened = vscode.workspace.onDidOpenTextDocument((document) => {
      if (isOurs(document)) this.#start();
    });
    app.connection.onStatus(({ kind }) => kind === 'ready' && this.#startIfNeeded());
    this.#startIfNeeded();
  }

  dispose(): void {
    this.#disposed = true;
    this.#opened.dispose();
    void this.#client?.then((client) => client?.dispose()).catch(() => {});
  }

  #startIfNeeded(): void {
    if (vscode.workspace.textDocuments.some(isOurs)) this.#start();
  }

  /** Starts a client; does nothing without a daemon, since a document that is merely shown starts none. */
  #start(): void {
    if (this.#disposed || this.#client || this.#app.connection.status.kind !== 'ready') return;
    const started = this.#load().catch((error: Error) => {
      this.#app.log.warn(`The language server does not answer: ${error.message}`);
      return null;
    });
    this.#client = started;
    void started.then((client) => {
      if (client === null && this.#client === started) this.#client = null;
      else if (this.#disposed) void client?.dispose().catch(() => {});
    });
  }

  async #load() {
    const { startLanguageClient } = await import('./language-client.ts');
    return startLanguageClient({
      log: this.#app.log,
      hints: vscode.workspace.getConfiguration('trainstash').get('inlayHints', false),
      lost: () => {
        this.#client = null;
      },
    });
  }
}

function isOurs({ uri, languageId }: vscode.TextDocument): boolean {
  return languageId === 'python' || CONFIG_FILES.includes(basename(uri.path));
}
