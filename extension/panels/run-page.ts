/** Pages of single runs: curves, params, checkpoints, code, sessions and log, and what can be done with the run. */
import { join } from 'node:path';
import * as v from 'valibot';
import * as vscode from 'vscode';
import type { CodeSince } from '../../protocol/diff.ts';
import { type Checkpoint, LIVE_STATUSES, type MetricSeries, type Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { checkpointChanged } from '../../protocol/messages/checkpoint.ts';
import { codeSince } from '../../protocol/messages/diff.ts';
import { metricsAppended, usageQuery } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runChanged, runShow } from '../../protocol/messages/run.ts';
import { type RunPageNews, type RunPageSaid, type RunPageState, runPageSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { codeUri } from '../core/code-files.ts';
import { rowOf } from '../core/run-row.ts';
import { bestOf, plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';
import { openPage, type PageHost } from './panel.ts';
import { RunFeed } from './run-feed.ts';

const VIEW = 'trainstash.run';
/** Delay by which changes of a live run are batched. */
const DRAW_MS = 200;
/** Interval at which what a live run uses is asked for. */
const USAGE_MS = 5_000;

const restoredState = v.object({ root: v.string(), run: v.string() });

export class RunPages {
  readonly #app: App;
  readonly #context: vscode.ExtensionContext;
  readonly #open = new Map<string, RunPage>();

  constructor(app: App, context: vscode.ExtensionContext) {
    this.#app = app;
    this.#context = context;
    const { connection } = app;
    connection.on(runChanged, ({ run }) => this.#open.get(run.id)?.runChanged(run));
    connection.on(metricsAppended, ({ run, values }) => this.#open.get(run)?.appended(values));
    connection.on(checkpointChanged, ({ checkpoint }) => this.#open.get(checkpoint.run)?.later());
    connection.onStatus(({ kind }) => {
      // Asks for what was missed, also after the daemon was killed.
      if (kind === 'ready') for (const page of this.#open.values()) page.load();
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
    this.#open.set(run, new RunPage(this.#app, this.#context, panel, root, run));
    panel.onDidDispose(() => this.#open.delete(run));
  }
}

class RunPage {
  readonly panel: vscode.WebviewPanel;
  readonly #app: App;
  readonly #root: string;
  readonly #id: string;
  readonly #page: PageHost;
  readonly #feed: RunFeed;
  #state: RunPageState | null = null;
  #code: CodeSince | null = null;
  #ready = false;
  #watching = false;
  #due: NodeJS.Timeout | null = null;
  #loadDue: NodeJS.Timeout | null = null;
  #usageDue: NodeJS.Timeout | null = null;

  constructor(app: App, context: vscode.ExtensionContext, panel: vscode.WebviewPanel, root: string, id: string) {
    this.#app = app;
    this.#root = root;
    this.#id = id;
    this.panel = panel;
    this.#feed = new RunFeed(
      app,
      root,
      (news) => this.#push(news),
      () => this.#state?.run,
    );
    this.#page = openPage<RunPageSaid>(context, panel, {
      script: 'run.js',
      said: runPageSaid,
      take: (message) => this.#take(message),
      failed: (error) => void report(app, error),
    });
    panel.onDidDispose(() => {
      this.#ready = false;
      this.#feed.dispose();
      for (const timer of [this.#due, this.#loadDue, this.#usageDue]) if (timer) clearTimeout(timer);
    });
  }

  runChanged(run: Run): void {
    const wasLive = this.#state && LIVE_STATUSES.includes(this.#state.run.status);
    if (this.#state) this.#state.run = run;
    // Sessions and checkpoints change with the status; each step changes the row alone.
    if (wasLive !== LIVE_STATUSES.includes(run.status)) this.later();
    this.#drawSoon();
  }

  appended(series: readonly MetricSeries[]): void {
    this.#feed.appended(this.#id, series);
  }

  /** Loads again, once for all events that come at the same time. */
  later(): void {
    this.#loadDue ??= setTimeout(() => {
      this.#loadDue = null;
      this.load();
    }, DRAW_MS);
  }

  load(): void {
    if (!this.#ready) return;
    this.#load().catch((error) => {
      if (isError(error, 'daemonUnavailable')) return;
      this.#push({ type: 'problem', text: (error as Error).message });
    });
  }

  async #load(): Promise<void> {
    const { connection, model } = this.#app;
    const root = this.#root;
    if (!this.#watching) {
      // A page that came back with its window may be about a folder that is not open in it.
      if (!model.project(root)) await connection.request(projectOpen, { root, trusted: false, watch: true });
      this.#watching = true;
    }
    const { run, sessions, checkpoints } = await connection.request(runShow, { root, run: this.#id });
    model.know(root, run);
    this.#app.firstSteps.mark('look');
    const newest = [...checkpoints].sort((a, b) => b.step - a.step || b.createdAt - a.createdAt);
    const first = this.#state === null;
    this.#state = {
      root,
      run,
      sessions: sessions.filter(({ purpose }) => purpose === 'train'),
      checkpoints: newest,
      best: bestOf(newest, run.monitor)?.id ?? null,
      parent: this.#nameOf(run.parent?.run),
      forks: this.#forks(),
    };
    this.panel.title = plain(run.name);
    this.#draw();
    this.#feed.checkpointsChanged(this.#id);
    await this.#askUsage();
    if (first) await this.#askCode();
  }

  /** Asks for samples, and again while the run is live and the page is seen. */
  async #askUsage(): Promise<void> {
    if (this.#usageDue) clearTimeout(this.#usageDue);
    this.#usageDue = null;
    const { series } = await this.#app.connection.poll(usageQuery, { root: this.#root, run: this.#id });
    this.#push({ type: 'usage', series });
    if (!this.#ready || this.#usageDue || !this.#state || !LIVE_STATUSES.includes(this.#state.run.status)) return;
    this.#usageDue = setTimeout(() => {
      this.#usageDue = null;
      // Without a daemon, the next connection loads everything.
      this.#askUsage().catch(() => {});
    }, USAGE_MS);
  }

  #nameOf(run: string | undefined): string | null {
    return run === undefined ? null : (this.#app.model.project(this.#root)?.runs.get(run)?.name ?? null);
  }

  #forks(): RunPageState['forks'] {
    const runs = this.#app.model.project(this.#root)?.runs.values() ?? [];
    return [...runs].flatMap(({ id, name, parent }) =>
      parent?.run === this.#id ? [{ id, name, step: parent.step }] : [],
    );
  }

  async #askCode(): Promise<void> {
    try {
      this.#code = await this.#app.connection.request(codeSince, { root: this.#root, run: this.#id });
      this.#push({ type: 'code', code: this.#code });
    } catch (error) {
      this.#push({ type: 'code', code: { problem: (error as Error).message } });
    }
  }

  #drawSoon(): void {
    this.#due ??= setTimeout(() => {
      this.#due = null;
      this.#draw();
    }, DRAW_MS);
  }

  #draw(): void {
    if (!this.#state) return;
    const rows = [rowOf(this.#state.run)];
    this.#push({ type: 'rows', rows, loading: false });
    this.#push({ type: 'run', state: this.#state });
  }

  #take(message: RunPageSaid): unknown {
    const node: Node = { kind: 'run', root: this.#root, id: this.#id };
    switch (message.say) {
      case 'ready':
        this.#ready = true;
        return this.load();
      case 'act':
        return vscode.commands.executeCommand(`trainstash.${message.action}`, node);
      case 'actOn':
        return this.#actOn(message.action, message.checkpoint);
      case 'code':
        return this.#askCode();
      case 'openFile':
        return this.#openFile(message.path);
      case 'openAll':
        return this.#openAll();
      case 'openRun':
        return vscode.commands.executeCommand('trainstash.openRun', { ...node, id: message.run });
      default:
        return this.#feed.take(message);
    }
  }

  #actOn(action: string, id: string): unknown {
    const checkpoint = this.#state?.checkpoints.find((one: Checkpoint) => one.id === id);
    if (!checkpoint) return undefined;
    const node: Node = { kind: 'checkpoint', root: this.#root, run: this.#id, checkpoint };
    return vscode.commands.executeCommand(`trainstash.${action}`, node);
  }

  /** Opens the change of a file since the run: to the file itself, so that it can be edited there. */
  #openFile(path: string): unknown {
    const [then, now] = this.#urisOf(path);
    if (!then || !now) return vscode.commands.executeCommand('vscode.open', then ?? now);
    return vscode.commands.executeCommand('vscode.diff', then, now, plain(`${path} (${this.#titleOfChange()})`));
  }

  #openAll(): unknown {
    const resources = (this.#code?.files ?? []).map(({ path }) => {
      const [then, now] = this.#urisOf(path);
      return [now ?? then, then, now];
    });
    return vscode.commands.executeCommand('vscode.changes', plain(this.#titleOfChange()), resources);
  }

  #titleOfChange(): string {
    return `${this.#state?.run.name ?? 'run'} ↔ now`;
  }

  #urisOf(path: string): [then: vscode.Uri | undefined, now: vscode.Uri | undefined] {
    const file = this.#code?.files.find((one) => one.path === path);
    if (!file || !this.#code?.then) return [undefined, undefined];
    return [
      file.status === 'added' ? undefined : codeUri(this.#root, this.#code.then, path),
      file.status === 'removed' ? undefined : vscode.Uri.file(join(this.#root, path)),
    ];
  }

  #push(news: RunPageNews): void {
    if (this.#ready) this.#page.post(news);
  }
}
