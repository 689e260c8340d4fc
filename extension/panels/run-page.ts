/** Tabs of single runs. */
import { join } from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { RunPageActions } from '../../pages/host.ts';
import { RunPage } from '../../pages/run-page.ts';
import type { CodeSince } from '../../protocol/diff.ts';
import type { Run } from '../../protocol/domain.ts';
import { checkpointChanged } from '../../protocol/messages/checkpoint.ts';
import { metricsAppended } from '../../protocol/messages/metrics.ts';
import { runChanged } from '../../protocol/messages/run.ts';
import { type RunPageNews, type RunPageSaid, runPageSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { codeUri } from '../core/code-files.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { checkpointMenu } from './checkpoint-menu.ts';
import { openPage } from './panel.ts';
import { projectOf } from './project.ts';

const VIEW = 'trainstash.run';

const restoredState = v.object({ root: v.string(), run: v.string() });

export class RunPages {
  readonly #app: App;
  readonly #context: vscode.ExtensionContext;
  readonly #open = new Map<string, OpenRun>();

  constructor(app: App, context: vscode.ExtensionContext) {
    this.#app = app;
    this.#context = context;
    const { connection } = app;
    connection.on(runChanged, ({ run }) => this.#open.get(run.id)?.page.runChanged(run));
    connection.on(metricsAppended, ({ run, values }) => this.#open.get(run)?.page.appended(values));
    connection.on(checkpointChanged, ({ checkpoint }) => this.#open.get(checkpoint.run)?.page.later());
    connection.onStatus(({ kind }) => {
      // Asks for what was missed, also after the daemon was killed.
      if (kind === 'ready') for (const { page } of this.#open.values()) page.load();
    });
    context.subscriptions.push(
      vscode.window.registerWebviewPanelSerializer(VIEW, {
        deserializeWebviewPanel: async (panel, state) => {
          const parsed = v.safeParse(restoredState, state);
          if (parsed.success) this.#make(parsed.output.root, parsed.output.run, panel);
          else panel.dispose();
        },
      }),
    );
  }

  /** Opens the page of a run, or brings it to the front. `aside`: the rows keep the focus. */
  show(root: string, run: string, aside = false): void {
    const open = this.#open.get(run);
    const column = vscode.ViewColumn.Active;
    if (open) open.panel.reveal(undefined, aside);
    else {
      const panel = vscode.window.createWebviewPanel(VIEW, 'Run', { viewColumn: column, preserveFocus: aside });
      this.#make(root, run, panel);
    }
  }

  #make(root: string, run: string, panel: vscode.WebviewPanel): void {
    this.#open.set(run, { panel, page: this.#host(root, run, panel) });
    panel.onDidDispose(() => this.#open.delete(run));
  }

  #host(root: string, id: string, panel: vscode.WebviewPanel): RunPage {
    const app = this.#app;
    const host = openPage<RunPageSaid, RunPageNews>(this.#context, panel, {
      script: 'run.js',
      said: runPageSaid,
      take: (message) => page.take(message),
      failed: (error) => void report(app, error),
    });
    const page = new RunPage(projectOf(app, root), id, host, actionsOf(app, root));
    panel.onDidDispose(() => page.dispose());
    return page;
  }
}

interface OpenRun {
  panel: vscode.WebviewPanel;
  page: RunPage;
}

function actionsOf(app: App, root: string): RunPageActions {
  const node = (id: string): Node => ({ kind: 'run', root, id });
  const title = (run: Run) => `${run.name} ↔ now`;
  return {
    ...checkpointMenu(app, root),
    act: (action, { id }) => vscode.commands.executeCommand(`trainstash.${action}`, node(id)),
    actOn: (action, run, checkpoint) =>
      vscode.commands.executeCommand(`trainstash.${action}`, { kind: 'checkpoint', root, run: run.id, checkpoint }),
    openRun: (id) => vscode.commands.executeCommand('trainstash.openRun', node(id)),
    // The file itself is on the right, so that it can be edited there.
    openFile(run, code, path) {
      const [then, now] = urisOf(root, code, path);
      if (!then || !now) return vscode.commands.executeCommand('vscode.open', then ?? now);
      return vscode.commands.executeCommand('vscode.diff', then, now, plain(`${path} (${title(run)})`));
    },
    openAll(run, code) {
      const resources = code.files.map(({ path }) => {
        const [then, now] = urisOf(root, code, path);
        return [now ?? then, then, now];
      });
      return vscode.commands.executeCommand('vscode.changes', plain(title(run)), resources);
    },
  };
}

function urisOf(
  root: string,
  code: CodeSince,
  path: string,
): [then: vscode.Uri | undefined, now: vscode.Uri | undefined] {
  const file = code.files.find((one) => one.path === path);
  if (!file || !code.then) return [undefined, undefined];
  return [
    file.status === 'added' ? undefined : codeUri(root, code.then, path),
    file.status === 'removed' ? undefined : vscode.Uri.file(join(root, path)),
  ];
}
