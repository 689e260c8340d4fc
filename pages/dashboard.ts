/** The dashboard: all runs of a project in a table, charts of their curves, one run's log. */
import { basename } from 'node:path';
import * as v from 'valibot';
import { type ViewFile, viewsOf } from '../client/dashboard-views.ts';
import type { MetricSeries, Run } from '../protocol/domain.ts';
import { runList } from '../protocol/messages/run.ts';
import { type DashboardNews, type DashboardSaid, savedViews } from '../webview-ui/contract.ts';
import { DeviceWatch } from './device.ts';
import type { DashboardActions, PageHost, PageProject } from './host.ts';
import { RunFeed } from './run-feed.ts';
import { rowOf } from './run-row.ts';

/** Delay by which row updates are batched. */
const ROWS_MS = 100;

export class DashboardPage {
  readonly #project: PageProject;
  readonly #host: PageHost<DashboardNews>;
  readonly #actions: DashboardActions;
  readonly #runs = new Map<string, Run>();
  readonly #changed = new Map<string, Run>();
  readonly #device: DeviceWatch;
  readonly #feed: RunFeed;
  readonly #views: ViewFile;
  #store: string | null = null;
  #rowsDue: NodeJS.Timeout | null = null;
  #loads = 0;
  #ready = false;

  constructor(project: PageProject, host: PageHost<DashboardNews>, actions: DashboardActions) {
    this.#project = project;
    this.#host = host;
    this.#actions = actions;
    const feed = { post: (news: DashboardNews) => this.#push(news), failed: (error: unknown) => host.failed(error) };
    this.#feed = new RunFeed(project, feed, actions, (id) => this.#runs.get(id));
    this.#views = viewsOf(project.root);
    this.#device = new DeviceWatch((text) => this.#push({ type: 'device', text }));
  }

  /** Tells whether somebody sees the page: only then the devices are watched. */
  seen(isSeen: boolean): void {
    this.#device.looking = isSeen;
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
      this.#store = await this.#project.open();
      const name = basename(this.#project.root);
      this.#host.setTitle(`Trainstash: ${name}`);
      this.#runs.clear();
      let cursor: string | null = null;
      do {
        const page: { runs: Run[]; next: string | null } = await this.#project.connection.request(runList, {
          root: this.#project.root,
          drafts: true,
          cursor,
        });
        if (load !== this.#loads) return;
        const isFirst = cursor === null;
        cursor = page.next;
        for (const run of page.runs) this.#runs.set(run.id, run);
        const rows = page.runs.map(rowOf);
        if (rows.length > 0) this.#actions.looked();
        const loading = cursor !== null;
        if (isFirst)
          this.#push({
            type: 'state',
            state: { root: this.#project.root, project: name, rows, loading, problem: null },
          });
        else this.#push({ type: 'rows', rows, loading });
      } while (cursor !== null);
    } catch (error) {
      const problem = (error as Error).message;
      this.#push({
        type: 'state',
        state: { root: this.#project.root, project: '', rows: [], loading: false, problem },
      });
    }
  }

  take(message: DashboardSaid): unknown {
    if (message.say === 'act') return this.#act(message);
    if (message.say === 'views') return this.#views.write(message.views);
    if (message.say !== 'ready') return this.#feed.take(message);
    this.#ready = true;
    const views = v.safeParse(savedViews, this.#views.read());
    this.#push({ type: 'views', views: views.success ? views.output : [] });
    return this.load();
  }

  #act({ action, runs }: Extract<DashboardSaid, { say: 'act' }>): unknown {
    const chosen = runs.flatMap((id) => this.#runs.get(id) ?? []);
    for (const run of chosen) this.#project.runs.know(run);
    return chosen.length === 0 ? undefined : this.#actions.act(action, chosen);
  }

  #push(news: DashboardNews): void {
    if (this.#ready) this.#host.post(news);
  }

  dispose(): void {
    this.#ready = false;
    this.#loads++;
    this.#device.looking = false;
    this.#feed.dispose();
    if (this.#rowsDue) clearTimeout(this.#rowsDue);
  }
}
