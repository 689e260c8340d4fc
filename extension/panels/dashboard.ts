/** The dashboard: all runs of a project in a table, charts of their curves, one run's log. */
import { basename } from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { MetricSeries, Run } from '../../protocol/domain.ts';
import { checkpointChanged } from '../../protocol/messages/checkpoint.ts';
import { metricsAppended } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runChanged, runList } from '../../protocol/messages/run.ts';
import { type DashboardNews, type DashboardSaid, dashboardSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { DeviceWatch } from '../core/device.ts';
import { rowOf } from '../core/run-row.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { openPage, type PageHost } from './panel.ts';
import { RunFeed } from './run-feed.ts';

const VIEW = 'trainstash.dashboard';
/** Delay by which row updates are batched. */
const ROWS_MS = 100;

const restoredState = v.object({ root: v.string() });

export class Dashboards {
  readonly #app: App;
  readonly #context: vscode.ExtensionContext;
  readonly #open = new Map<string, Dashboard>();

  constructor(app: App, context: vscode.ExtensionContext) {
    this.#app = app;
    this.#context = context;
    const { connection } = app;
    const of = (store: string, act: (dashboard: Dashboard) => void) => {
      for (const dashboard of this.#open.values()) if (dashboard.store === store) act(dashboard);
    };
    connection.on(runChanged, ({ store, run }) => of(store, (dashboard) => dashboard.runChanged(run)));
    connection.on(metricsAppended, ({ store, run, values }) =>
      of(store, (dashboard) => dashboard.appended(run, values)),
    );
    connection.on(checkpointChanged, ({ store, checkpoint }) =>
      of(store, (dashboard) => dashboard.checkpointChanged(checkpoint.run)),
    );
    connection.onStatus(({ kind }) => {
      // Asks for what was missed, also after the daemon was killed.
      if (kind === 'ready') for (const dashboard of this.#open.values()) void dashboard.load();
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
    this.#open.set(root, new Dashboard(this.#app, this.#context, panel, root));
    panel.onDidDispose(() => this.#open.delete(root));
  }
}

class Dashboard {
  readonly panel: vscode.WebviewPanel;
  readonly #app: App;
  readonly #root: string;
  readonly #page: PageHost;
  readonly #runs = new Map<string, Run>();
  readonly #changed = new Map<string, Run>();
  readonly #device: DeviceWatch;
  readonly #feed: RunFeed;
  #store: string | null = null;
  #rowsDue: NodeJS.Timeout | null = null;
  #loads = 0;
  #ready = false;

  constructor(app: App, context: vscode.ExtensionContext, panel: vscode.WebviewPanel, root: string) {
    this.#app = app;
    this.#root = root;
    this.panel = panel;
    this.#feed = new RunFeed(
      app,
      root,
      (news) => this.#push(news),
      (id) => this.#runs.get(id),
    );
    this.#device = new DeviceWatch((text) => this.#push({ type: 'device', text }));
    this.#page = openPage<DashboardSaid>(context, panel, {
      script: 'dashboard.js',
      said: dashboardSaid,
      take: (message) => this.#take(message),
      failed: (error) => void report(app, error),
    });
    panel.onDidChangeViewState(() => {
      this.#device.looking = panel.visible;
    });
    panel.onDidDispose(() => this.#dispose());
    this.#device.looking = panel.visible;
  }

  get store(): string | null {
    return this.#store;
  }

  runChanged(run: Run): void {
    if (run.trashedAt !== null) {
      this.#runs.delete(run.id);
      this.#push({ type: 'gone', ids: [run.id] });
      return;
    }
    this.#runs.set(run.id, run);
    this.#changed.set(run.id, run);
    this.#rowsDue ??= setTimeout(() => {
      this.#rowsDue = null;
      const rows = [...this.#changed.values()].map(rowOf);
      this.#changed.clear();
      this.#push({ type: 'rows', rows, loading: false });
    }, ROWS_MS);
  }

  appended(run: string, series: readonly MetricSeries[]): void {
    this.#feed.appended(run, series);
  }

  checkpointChanged(run: string): void {
    this.#feed.checkpointsChanged(run);
  }

  /** Loads all runs page by page; the first page is shown at once. */
  async load(): Promise<void> {
    if (!this.#ready) return;
    const load = ++this.#loads;
    try {
      const project = await this.#app.connection.request(projectOpen, {
        root: this.#root,
        trusted: vscode.workspace.isTrusted,
        watch: true,
      });
      this.#store = project.store;
      const name = basename(this.#root);
      this.panel.title = `Trainstash: ${plain(name)}`;
      this.#runs.clear();
      let cursor: string | null = null;
      do {
        const page: { runs: Run[]; next: string | null } = await this.#app.connection.request(runList, {
          root: this.#root,
          drafts: true,
          cursor,
        });
        if (load !== this.#loads) return;
        const isFirst = cursor === null;
        cursor = page.next;
        for (const run of page.runs) this.#runs.set(run.id, run);
        const rows = page.runs.map(rowOf);
        if (rows.length > 0) this.#app.firstSteps.mark('look');
        const loading = cursor !== null;
        if (isFirst)
          this.#push({ type: 'state', state: { root: this.#root, project: name, rows, loading, problem: null } });
        else this.#push({ type: 'rows', rows, loading });
      } while (cursor !== null);
    } catch (error) {
      const problem = (error as Error).message;
      this.#push({ type: 'state', state: { root: this.#root, project: '', rows: [], loading: false, problem } });
    }
  }

  #take(message: DashboardSaid): unknown {
    if (message.say === 'act') return this.#act(message);
    if (message.say !== 'ready') return this.#feed.take(message);
    this.#ready = true;
    return this.load();
  }

  #act({ action, runs }: Extract<DashboardSaid, { say: 'act' }>): unknown {
    const chosen = runs.flatMap((id) => this.#runs.get(id) ?? []);
    for (const run of chosen) this.#app.model.know(this.#root, run);
    const nodes = chosen.map(({ id }): Node => ({ kind: 'run', root: this.#root, id }));
    if (nodes.length === 0) return undefined;
    const command = action === 'diff' ? 'compare' : action;
    return vscode.commands.executeCommand(`trainstash.${command}`, nodes[0], nodes);
  }

  #push(news: DashboardNews): void {
    if (this.#ready) this.#page.post(news);
  }

  #dispose(): void {
    this.#ready = false;
    this.#loads++;
    this.#device.looking = false;
    this.#feed.dispose();
    if (this.#rowsDue) clearTimeout(this.#rowsDue);
  }
}
