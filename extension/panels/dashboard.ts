/** The dashboard: all runs of a project in a table, charts of their curves, one run's log. */
import * as v from 'valibot';
import * as vscode from 'vscode';
import { DashboardPage } from '../../pages/dashboard.ts';
import type { DashboardActions } from '../../pages/host.ts';
import { checkpointChanged } from '../../protocol/messages/checkpoint.ts';
import { metricsAppended } from '../../protocol/messages/metrics.ts';
import { runChanged } from '../../protocol/messages/run.ts';
import { type DashboardNews, type DashboardSaid, dashboardSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import type { Node } from '../views/runs.ts';
import { checkpointMenu } from './checkpoint-menu.ts';
import { openPage } from './panel.ts';
import { projectOf } from './project.ts';

const VIEW = 'trainstash.dashboard';
const restoredState = v.object({ root: v.string() });

export class Dashboards {
  readonly #app: App;
  readonly #context: vscode.ExtensionContext;
  readonly #open = new Map<string, OpenDashboard>();

  constructor(app: App, context: vscode.ExtensionContext) {
    this.#app = app;
    this.#context = context;
    const { connection } = app;
    const of = (store: string, act: (page: DashboardPage) => void) => {
      for (const { page } of this.#open.values()) if (page.store === store) act(page);
    };
    connection.on(runChanged, ({ store, run }) => of(store, (page) => page.runChanged(run)));
    connection.on(metricsAppended, ({ store, run, values }) => of(store, (page) => page.appended(run, values)));
    connection.on(checkpointChanged, ({ store, checkpoint }) =>
      of(store, (page) => page.checkpointChanged(checkpoint.run)),
    );
    connection.onStatus(({ kind }) => {
      // Asks for what was missed, also after the daemon was killed.
      if (kind === 'ready') for (const { page } of this.#open.values()) void page.load();
    });
    context.subscriptions.push(
      vscode.window.registerWebviewPanelSerializer(VIEW, {
        deserializeWebviewPanel: async (panel, state) => {
          const parsed = v.safeParse(restoredState, state);
          if (parsed.success) this.#make(parsed.output.root, panel);
          else panel.dispose();
        },
      }),
    );
  }

  show(root: string): void {
    const open = this.#open.get(root);
    if (open) open.panel.reveal();
    else this.#make(root, vscode.window.createWebviewPanel(VIEW, 'Trainstash', vscode.ViewColumn.Active));
  }

  #make(root: string, panel: vscode.WebviewPanel): void {
    this.#open.set(root, { panel, page: this.#host(root, panel) });
    panel.onDidDispose(() => this.#open.delete(root));
  }

  #host(root: string, panel: vscode.WebviewPanel): DashboardPage {
    const app = this.#app;
    const host = openPage<DashboardSaid, DashboardNews>(this.#context, panel, {
      script: 'dashboard.js',
      said: dashboardSaid,
      take: (message) => page.take(message),
      failed: (error) => void report(app, error),
    });
    const actions: DashboardActions = {
      ...checkpointMenu(app, root),
      act(action, runs) {
        const nodes = runs.map(({ id }): Node => ({ kind: 'run', root, id }));
        return vscode.commands.executeCommand(`trainstash.${action === 'diff' ? 'compare' : action}`, nodes[0], nodes);
      },
    };
    const page = new DashboardPage(projectOf(app, root), host, actions);
    panel.onDidChangeViewState(() => page.seen(panel.visible));
    panel.onDidDispose(() => page.dispose());
    page.seen(panel.visible);
    return page;
  }
}

interface OpenDashboard {
  panel: vscode.WebviewPanel;
  page: DashboardPage;
}
