/** The dashboard: all runs of a project in a table, charts of their curves, one run's log. */
import { basename } from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { Checkpoint, MetricSeries, Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { checkpointChanged, checkpointList } from '../../protocol/messages/checkpoint.ts';
import { logRead, metricsAppended, metricsQuery } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runChanged, runList } from '../../protocol/messages/run.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import { integer } from '../../protocol/words.ts';
import { type DashboardNews, type DashboardSaid, dashboardSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { DeviceWatch } from '../core/device.ts';
import { rowOf } from '../core/run-row.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { openPage, type PageHost } from './panel.ts';

const VIEW = 'trainstash.dashboard';
const LOG_POLL_MS = 1_000;
/** Size limit of a log: of a longer one the end is shown. */
const LOG_BYTES = 1 << 20;
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

interface FollowedLog {
  run: string;
  offset: number;
  timer: NodeJS.Timeout | null;
}

class Dashboard {
  readonly panel: vscode.WebviewPanel;
  readonly #app: App;
  readonly #root: string;
  readonly #page: PageHost;
  readonly #runs = new Map<string, Run>();
  readonly #changed = new Map<string, Run>();
  readonly #device: DeviceWatch;
  #store: string | null = null;
  #rowsDue: NodeJS.Timeout | null = null;
  #log: FollowedLog | null = null;
  #loads = 0;
  #ready = false;

  constructor(app: App, context: vscode.ExtensionContext, panel: vscode.WebviewPanel, root: string) {
    this.#app = app;
    this.#root = root;
    this.panel = panel;
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
    const startedAt = this.#runs.get(run)?.startedAt ?? Date.now();
    for (const one of series) {
      const columns = columnsOf(one);
      // A notification has no time, but it arrives at once.
      columns.times.fill((Date.now() - startedAt) / 1000);
      this.#push({ type: 'points', run, name: one.name, ...columns });
    }
  }

  checkpointChanged(run: string): void {
    this.#marks(run).catch((error) => {
      // Both are requested again once the daemon is back.
      if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) void report(this.#app, error);
    });
  }

  async #marks(run: string): Promise<void> {
    const { checkpoints } = await this.#app.connection.poll(checkpointList, { root: this.#root, run });
    const marks = checkpoints.map(({ id, step, tags }: Checkpoint) => ({ id, run, step, tags }));
    this.#push({ type: 'checkpoints', run, marks });
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
    switch (message.say) {
      case 'ready':
        this.#ready = true;
        return this.load();
      case 'curves':
        return this.#curves(message);
      case 'checkpoints':
        return this.checkpointChanged(message.run);
      case 'log':
        return this.#follow(message.run);
      case 'act':
        return this.#act(message);
      case 'checkpoint':
        return this.#offer(message.run, message.checkpoint);
    }
  }

  async #curves({ runs, names, from, to, buckets }: Extract<DashboardSaid, { say: 'curves' }>): Promise<void> {
    const range = { ...(from === null ? {} : { fromStep: from }), ...(to === null ? {} : { toStep: to }) };
    for (const name of names) {
      for (const run of runs) {
        const params = { root: this.#root, run, names: [name], buckets, ...range };
        try {
          const { series } = await this.#app.connection.poll(metricsQuery, params);
          const columns = columnsOf(series[0] ?? { steps: [], values: [], times: [] });
          this.#push({ type: 'curve', run, name, from, to, ...columns });
        } catch (error) {
          // The run was deleted, or the daemon is away and everything is requested again when it is back.
          if (isError(error, 'daemonUnavailable')) return;
          if (!isError(error, 'notFound')) throw error;
        }
      }
    }
  }

  #follow(run: string | null): void {
    if (this.#log?.timer) clearTimeout(this.#log.timer);
    this.#log = run === null ? null : { run, offset: 0, timer: null };
    if (this.#log) void this.#readLog(this.#log, true);
  }

  async #readLog(log: FollowedLog, first: boolean): Promise<void> {
    try {
      let text = '';
      for (;;) {
        const page = await this.#app.connection.poll(logRead, {
          root: this.#root,
          run: log.run,
          offset: log.offset,
          last: LOG_BYTES,
        });
        if (this.#log !== log) return;
        text = (text + page.text).slice(-LOG_BYTES);
        log.offset = page.offset;
        if (page.text === '') break;
      }
      if (text !== '' || first) this.#push({ type: 'log', run: log.run, text, first });
    } catch (error) {
      if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) void report(this.#app, error);
    }
    if (this.#log !== log) return;
    log.timer = setTimeout(() => void this.#readLog(log, false), LOG_POLL_MS);
  }

  #act({ action, runs }: Extract<DashboardSaid, { say: 'act' }>): unknown {
    const chosen = runs.flatMap((id) => this.#runs.get(id) ?? []);
    for (const run of chosen) this.#app.model.know(this.#root, run);
    const nodes = chosen.map(({ id }): Node => ({ kind: 'run', root: this.#root, id }));
    if (nodes.length === 0) return undefined;
    const command = action === 'diff' ? 'compare' : action;
    return vscode.commands.executeCommand(`trainstash.${command}`, nodes[0], nodes);
  }

  /** Offers actions for a checkpoint that was clicked on the axis. */
  async #offer(run: string, id: string): Promise<void> {
    const { checkpoints } = await this.#app.connection.request(checkpointList, { root: this.#root, run });
    const checkpoint = checkpoints.find((one) => one.id === id);
    const name = this.#runs.get(run)?.name;
    if (!checkpoint || name === undefined) return;
    const items = [
      { label: '$(play) Resume from here', command: 'resumeFrom' },
      { label: '$(repo-forked) Fork', command: 'fork' },
      { label: '$(diff) Compare…', command: 'compare' },
      { label: '$(export) Export…', command: 'export' },
      { label: '$(verified) Verify', command: 'verify' },
      { label: '$(tag) Tag…', command: 'tag' },
      { label: '$(desktop-download) Restore files to a folder…', command: 'restoreFiles' },
    ];
    const title = `${plain(name)} at step ${integer(checkpoint.step)}`;
    const chosen = await vscode.window.showQuickPick(items, { title });
    this.#app.model.know(this.#root, this.#runs.get(run)!);
    const node: Node = { kind: 'checkpoint', root: this.#root, run, checkpoint };
    if (chosen) await vscode.commands.executeCommand(`trainstash.${chosen.command}`, node);
  }

  #push(news: DashboardNews): void {
    if (this.#ready) this.#page.post(news);
  }

  #dispose(): void {
    this.#ready = false;
    this.#loads++;
    this.#device.looking = false;
    this.#follow(null);
    if (this.#rowsDue) clearTimeout(this.#rowsDue);
  }
}

function columnsOf({ steps, values, times }: Pick<MetricSeries, 'steps' | 'values' | 'times'>) {
  return {
    xs: Float64Array.from(steps),
    ys: Float64Array.from(values, fromWireNumber),
    times: Float64Array.from(times),
  };
}
