/** Checkpoint files, opened in the editor: what they hold, read by the daemon. The editor never loads such a file. */
import * as vscode from 'vscode';
import { TrainstashError } from '../../protocol/errors.ts';
import * as m from '../../protocol/messages.ts';
import { type App, report } from '../app.ts';
import { type FilePageSaid, type FilePageState, filePageSaid } from '../pages/messages.ts';
import { openPage, type PageHost } from './panel.ts';

/** By default, and where other extensions may know better. */
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
  const state: FilePageState = { name: uri.path.split('/').pop()!, inspection: null, problem: null };
  let ready = false;
  let looked = 0;
  const push = (): void => {
    if (ready) page.post({ type: 'state', state });
  };
  const look = async (statistics: boolean) => {
    const mine = ++looked;
    try {
      if (uri.scheme !== 'file') throw new Error('Only files on a disk can be looked into.');
      const inspection = await app.connection.request(m.fileInspect, { path: uri.fsPath, statistics });
      if (mine === looked) Object.assign(state, { inspection, problem: null });
    } catch (error) {
      if (!(error instanceof TrainstashError)) app.log.error(String(error));
      if (mine === looked) Object.assign(state, { inspection: null, problem: (error as Error).message });
    }
    push();
  };
  const page: PageHost = openPage<FilePageSaid>(context, panel, {
    script: 'checkpoint.js',
    said: filePageSaid,
    take(message): unknown {
      if (message.say === 'statistics') return look(true);
      ready = true;
      return push();
    },
    failed: (error) => void report(app, error),
  });
  // A training may write it again while one looks at it.
  const watcher = vscode.workspace.createFileSystemWatcher(
    new vscode.RelativePattern(vscode.Uri.joinPath(uri, '..'), state.name),
  );
  for (const event of [watcher.onDidChange, watcher.onDidCreate]) event(() => void look(false));
  panel.onDidDispose(() => watcher.dispose());
  void look(false);
}
