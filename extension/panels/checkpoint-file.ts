/** Opens checkpoint files in the editor. The daemon reads their contents; the editor never loads such a file. */
import * as vscode from 'vscode';
import type { FileInspection } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { fileInspect } from '../../protocol/messages/file.ts';
import { type FilePageSaid, type FilePageState, filePageSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { openPage } from './panel.ts';

/** Custom editors: the default, and the one for extensions that another extension may know better. */
const VIEWS = ['trainstash.checkpointFile', 'trainstash.checkpointFile.other'];

export function registerCheckpointFiles(app: App, context: vscode.ExtensionContext): void {
  const provider: vscode.CustomReadonlyEditorProvider = {
    openCustomDocument: (uri) => ({ uri, dispose() {} }),
    resolveCustomEditor: ({ uri }, panel) => showFile(app, context, uri, panel),
  };
  const options = { supportsMultipleEditorsPerDocument: true };
  for (const view of VIEWS)
    context.subscriptions.push(vscode.window.registerCustomEditorProvider(view, provider, options));
}

function showFile(app: App, context: vscode.ExtensionContext, uri: vscode.Uri, panel: vscode.WebviewPanel): void {
  let ready = false;
  const file = new OpenFile(app, uri, () => {
    if (ready) page.post({ type: 'state', state: file.state });
  });
  const page = openPage<FilePageSaid, { type: 'state'; state: FilePageState }>(context, panel, {
    script: 'checkpoint.js',
    said: filePageSaid,
    take(message: FilePageSaid): unknown {
      if (message.say === 'statistics') return file.look({ statistics: true });
      if (message.say === 'filter') return file.look({ filter: message.text });
      if (message.say === 'more') return file.more();
      ready = true;
      return page.post({ type: 'state', state: file.state });
    },
    failed: (error) => void report(app, error),
  });
  // A training may rewrite the file while it is open.
  const watcher = vscode.workspace.createFileSystemWatcher(
    new vscode.RelativePattern(vscode.Uri.joinPath(uri, '..'), file.state.name),
  );
  for (const event of [watcher.onDidChange, watcher.onDidCreate]) event(() => file.look({ statistics: false }));
  panel.onDidDispose(() => {
    watcher.dispose();
    file.dispose();
  });
  file.look({});
}

interface Changes {
  statistics?: boolean;
  filter?: string;
}

/** A shown file: its first page, and the further pages that were requested. */
class OpenFile {
  readonly state: FilePageState;
  readonly #app: App;
  readonly #uri: vscode.Uri;
  readonly #changed: () => void;
  readonly #over = new AbortController();
  /** Next request. Only one runs at a time, and the newest one waits: a file being written changes many times a second. */
  #waiting: 'again' | 'more' | null = null;

  constructor(app: App, uri: vscode.Uri, changed: () => void) {
    this.#app = app;
    this.#uri = uri;
    this.#changed = changed;
    const name = uri.path.split('/').pop()!;
    this.state = { name, inspection: null, problem: null, filter: '', statistics: false, reading: false };
  }

  /** Reads the file from its first page. */
  look(changes: Changes): void {
    Object.assign(this.state, changes);
    this.#request('again');
  }

  more(): void {
    if (this.state.inspection?.next) this.#request('more');
  }

  dispose(): void {
    this.#over.abort();
  }

  #request(what: 'again' | 'more'): void {
    if (this.#waiting !== 'again') this.#waiting = what;
    if (!this.state.reading) void this.#work();
  }

  async #work(): Promise<void> {
    for (let what = this.#next(); what !== null; what = this.#next()) {
      this.state.reading = true;
      this.#changed();
      try {
        const before = what === 'more' ? this.state.inspection : null;
        const inspection = joined(before, await this.#ask(before));
        Object.assign(this.state, { inspection, problem: null });
      } catch (error) {
        if (this.#over.signal.aborted) return;
        if (!(error instanceof TrainstashError)) this.#app.log.error(String(error));
        Object.assign(this.state, { inspection: null, problem: (error as Error).message });
      }
    }
    this.state.reading = false;
    this.#changed();
  }

  #next(): 'again' | 'more' | null {
    const what = this.#waiting;
    this.#waiting = null;
    return what;
  }

  async #ask(before: FileInspection | null): Promise<FileInspection> {
    if (this.#uri.scheme !== 'file') throw new Error('Only files on disk can be inspected.');
    const { statistics, filter } = this.state;
    const wanted = { path: this.#uri.fsPath, statistics, filter, ...(before?.next ? { after: before.next } : {}) };
    return this.#app.connection.request(fileInspect, wanted, this.#over.signal);
  }
}

/** Appends a page to those read before. */
function joined(before: FileInspection | null, page: FileInspection): FileInspection {
  if (before === null) return page;
  return {
    ...page,
    tensors: [...before.tensors, ...page.tensors],
    values: [...before.values, ...page.values],
    classes: [...before.classes, ...page.classes],
    notes: before.notes,
  };
}
