/** Shows the daemon's errors and warnings in a trainstash.json when the file is opened or saved. */
import { basename, dirname } from 'node:path';
import * as vscode from 'vscode';
import { isError } from '../protocol/errors.ts';
import { projectJobs } from '../protocol/messages/project.ts';
import type { Connection } from './core/connection.ts';

const FILE = 'trainstash.json';
const WARNING = /^.*?:(\d+): ([\s\S]*)$/;

export class ConfigDiagnostics {
  readonly #connection: Connection;
  readonly #found = vscode.languages.createDiagnosticCollection('trainstash');
  readonly #subscriptions: vscode.Disposable[];

  constructor(connection: Connection) {
    this.#connection = connection;
    const look = (document: vscode.TextDocument) => void this.#look(document);
    this.#subscriptions = [
      this.#found,
      vscode.workspace.onDidOpenTextDocument(look),
      vscode.workspace.onDidSaveTextDocument(look),
      vscode.workspace.onDidCloseTextDocument(({ uri }) => this.#found.delete(uri)),
    ];
    // Checks the files that are open as soon as there is a daemon to ask.
    connection.onStatus(({ kind }) => kind === 'ready' && this.#lookAtAll());
    this.#lookAtAll();
  }

  #lookAtAll(): void {
    for (const document of vscode.workspace.textDocuments) void this.#look(document);
  }

  dispose(): void {
    for (const subscription of this.#subscriptions) subscription.dispose();
  }

  async #look({ uri, isDirty }: vscode.TextDocument): Promise<void> {
    // The daemon reads the file from disk; unsaved changes are checked on save.
    if (uri.scheme !== 'file' || basename(uri.fsPath) !== FILE || isDirty || this.#connection.status.kind !== 'ready')
      return;
    try {
      const { warnings } = await this.#connection.poll(projectJobs, { root: dirname(uri.fsPath) });
      this.#found.set(
        uri,
        warnings.flatMap((warning) => {
          const found = WARNING.exec(warning);
          return found ? [at(Number(found[1]), 1, found[2]!, vscode.DiagnosticSeverity.Warning)] : [];
        }),
      );
    } catch (error) {
      if (!isError(error, 'configInvalid')) return;
      const { file, line, column } = error.data;
      const text = error.message.replace(`${file}:${line}:${column}: `, '').replace(' Nothing was started.', '');
      this.#found.set(uri, [at(line ?? 1, column ?? 1, text, vscode.DiagnosticSeverity.Error)]);
    }
  }
}

/** Makes a diagnostic from the position to the end of its line. Lines and columns count from 1. */
function at(line: number, column: number, text: string, severity: vscode.DiagnosticSeverity): vscode.Diagnostic {
  const diagnostic = new vscode.Diagnostic(new vscode.Range(line - 1, column - 1, line - 1, 1_000), text, severity);
  diagnostic.source = 'trainstash';
  return diagnostic;
}
