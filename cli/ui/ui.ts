/** Composes `trainstash ui`: the connection, the pages of one project, and the server. Loaded by its command only. */
import { join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import { reportOf } from '../../client/report/report.ts';
import { Connection } from '../../pages/connection.ts';
import { DashboardPage } from '../../pages/dashboard.ts';
import { DiffPage } from '../../pages/diff.ts';
import type { PageProject } from '../../pages/host.ts';
import { RunPage } from '../../pages/run-page.ts';
import type { Run } from '../../protocol/domain.ts';
import { checkpointChanged } from '../../protocol/messages/checkpoint.ts';
import { metricsAppended } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runChanged, runList } from '../../protocol/messages/run.ts';
import { dashboardSaid, diffPageSaid, runPageSaid } from '../../webview-ui/contract.ts';
import type { ToShell } from '../../webview-ui/wire.ts';
import { BrowserActions } from './actions.ts';
import { pageOf } from './document.ts';
import { type Tab, UiServer } from './server.ts';
import { Asker, tabOf } from './tab.ts';

export interface Ui {
  port: number;
  link: string;
  close(): void;
}

interface UiSetup {
  root: string;
  dist: string;
  port: number;
  connect(start: boolean): Promise<Client>;
  environment(): Record<string, string>;
  entered(again: boolean): void;
  say(text: string): void;
}

export async function startUi({ root, dist, port, connect, environment, entered, say }: UiSetup): Promise<Ui> {
  const connection = new Connection({ connect, log: say });
  const project = new OpenedProject(root, connection);
  const store = await project.open();
  await project.load();
  const dashboards = new Set<DashboardPage>();
  const runs = new Map<RunPage, string>();
  const pagesOf = (run: string) => [...runs].filter(([, id]) => id === run).map(([page]) => page);
  const own =
    <E extends { store: string }>(take: (event: E) => void) =>
    (event: E) => {
      if (event.store === store) take(event);
    };
  connection.on(
    runChanged,
    own(({ run }) => {
      project.changed(run);
      for (const page of dashboards) page.runChanged(run);
      for (const page of pagesOf(run.id)) page.runChanged(run);
    }),
  );
  connection.on(
    metricsAppended,
    own(({ run, values }) => {
      for (const page of dashboards) page.appended(run, values);
      for (const page of pagesOf(run)) page.appended(values);
    }),
  );
  connection.on(
    checkpointChanged,
    own(({ checkpoint }) => {
      for (const page of dashboards) page.checkpointChanged(checkpoint.run);
      for (const page of pagesOf(checkpoint.run)) page.later();
    }),
  );
  connection.onStatus(({ kind }) => {
    // Asks for what was missed, also after the daemon was killed.
    if (kind === 'ready')
      void project.open().then(
        () => {
          for (const page of dashboards) void page.load();
          for (const page of runs.keys()) page.load();
        },
        () => {},
      );
  });
  const open = (url: URL, post: (message: ToShell) => void): Tab | null => {
    const page = pageOf(url);
    const asker = new Asker(post);
    const actions = new BrowserActions(project, asker, environment);
    if (page?.script === 'diff')
      return tabOf(post, asker, diffPageSaid, (host) => new DiffPage(project, page.sides, host, actions));
    if (page?.script === 'run')
      return tabOf(post, asker, runPageSaid, (host) => {
        const shown = new RunPage(project, page.run, host, actions);
        runs.set(shown, page.run);
        return kept(shown, () => runs.delete(shown));
      });
    if (page === null) return null;
    return tabOf(post, asker, dashboardSaid, (host) => {
      const shown = new DashboardPage(project, host, actions);
      dashboards.add(shown);
      shown.seen(true);
      return kept(shown, () => dashboards.delete(shown));
    });
  };
  const server = new UiServer({
    pages: join(dist, 'extension/pages'),
    port,
    open,
    report: (run) => reportOf(connection, root, [run]),
    entered,
    failed: (error) => say((error as Error).message),
  });
  const { port: listens, link } = await server.listen().catch((error) => {
    connection.dispose();
    throw error;
  });
  return {
    port: listens,
    link,
    close() {
      server.close();
      connection.dispose();
    },
  };
}

/** Joins a page's end with what else is to be done then. */
function kept<Said>(page: { take(message: Said): unknown; dispose(): void }, over: () => void) {
  return {
    take: (message: Said) => page.take(message),
    dispose() {
      over();
      page.dispose();
    },
  };
}

class OpenedProject implements PageProject {
  readonly root: string;
  readonly connection: Connection;
  readonly #runs = new Map<string, Run>();
  readonly runs = {
    get: (id: string) => this.#runs.get(id),
    all: () => this.#runs.values(),
    know: (run: Run) => this.changed(run),
  };

  constructor(root: string, connection: Connection) {
    this.root = root;
    this.connection = connection;
  }

  /** Opens the project without trusting its folder: looking starts nothing. */
  async open(): Promise<string> {
    return (await this.connection.request(projectOpen, { root: this.root, trusted: false, watch: true })).store;
  }

  changed(run: Run): void {
    if (run.trashedAt === null) this.#runs.set(run.id, run);
    else this.#runs.delete(run.id);
  }

  async load(): Promise<void> {
    let cursor: string | null = null;
    do {
      const page: { runs: Run[]; next: string | null } = await this.connection.request(runList, {
        root: this.root,
        drafts: true,
        cursor,
      });
      for (const run of page.runs) this.changed(run);
      cursor = page.next;
    } while (cursor !== null);
  }
}
