/** Page of one run: curves, params, checkpoints, code, sessions and log, and what can be done with the run. */
import type { CodeSince } from '../protocol/diff.ts';
import type { Checkpoint, MetricSeries, Run } from '../protocol/domain.ts';
import { isError } from '../protocol/errors.ts';
import { codeSince } from '../protocol/messages/diff.ts';
import { usageQuery } from '../protocol/messages/metrics.ts';
import { runShow } from '../protocol/messages/run.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import type { RunPageNews, RunPageSaid, RunPageState } from '../webview-ui/contract.ts';
import { withEarlier } from './all-checkpoints.ts';
import type { PageHost, PageProject, RunPageActions } from './host.ts';
import { ignoreUnavailable, MediaFeed } from './media-feed.ts';
import { bestOf } from './run-facts.ts';
import { RunFeed } from './run-feed.ts';
import { rowOf } from './run-row.ts';

/** Delay by which changes of a live run are batched. */
const DRAW_MS = 200;
/** Interval at which what a live run uses is asked for. */
const USAGE_MS = 5_000;

export class RunPage {
  readonly #project: PageProject;
  readonly #id: string;
  readonly #host: PageHost<RunPageNews>;
  readonly #actions: RunPageActions;
  readonly #feed: RunFeed;
  readonly #media: MediaFeed;
  #state: RunPageState | null = null;
  #code: CodeSince | null = null;
  #ready = false;
  #watching = false;
  #due: NodeJS.Timeout | null = null;
  #loadDue: NodeJS.Timeout | null = null;
  #usageDue: NodeJS.Timeout | null = null;

  constructor(project: PageProject, id: string, host: PageHost<RunPageNews>, actions: RunPageActions) {
    this.#project = project;
    this.#id = id;
    this.#host = host;
    this.#actions = actions;
    const feed = { post: (news: RunPageNews) => this.#push(news), failed: (error: unknown) => host.failed(error) };
    this.#feed = new RunFeed(project, feed, actions, () => this.#state?.run);
    this.#media = new MediaFeed(project.connection, project.root, feed.post);
  }

  dispose(): void {
    this.#ready = false;
    this.#feed.dispose();
    for (const timer of [this.#due, this.#loadDue, this.#usageDue]) if (timer) clearTimeout(timer);
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
    const { connection, root, runs } = this.#project;
    if (!this.#watching) {
      await this.#project.open();
      this.#watching = true;
    }
    const { run, sessions, checkpoints } = await connection.request(runShow, { root, run: this.#id });
    runs.know(run);
    this.#actions.looked();
    const newest = await withEarlier(connection, root, run, checkpoints);
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
    this.#host.setTitle(run.name);
    this.#draw();
    this.#feed.checkpointsChanged(this.#id);
    await this.#askUsage();
    if (first) await this.#askCode();
  }

  /** Asks for samples, and again while the run is live and the page is seen. */
  async #askUsage(): Promise<void> {
    if (this.#usageDue) clearTimeout(this.#usageDue);
    this.#usageDue = null;
    const { series } = await this.#project.connection.poll(usageQuery, { root: this.#project.root, run: this.#id });
    this.#push({ type: 'usage', series });
    if (!this.#ready || this.#usageDue || !this.#state || !LIVE_STATUSES.includes(this.#state.run.status)) return;
    this.#usageDue = setTimeout(() => {
      this.#usageDue = null;
      // Without a daemon, the next connection loads everything.
      this.#askUsage().catch(() => {});
    }, USAGE_MS);
  }

  #nameOf(run: string | undefined): string | null {
    return run === undefined ? null : (this.#project.runs.get(run)?.name ?? null);
  }

  #forks(): RunPageState['forks'] {
    return [...this.#project.runs.all()].flatMap(({ id, name, parent }) =>
      parent?.run === this.#id ? [{ id, name, step: parent.step }] : [],
    );
  }

  async #askCode(): Promise<void> {
    try {
      this.#code = await this.#project.connection.request(codeSince, { root: this.#project.root, run: this.#id });
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

  take(message: RunPageSaid): unknown {
    const run = this.#state?.run;
    switch (message.say) {
      case 'ready':
        this.#ready = true;
        return this.load();
      case 'act':
        return run && this.#actions.act(message.action, run);
      case 'actOn':
        return this.#actOn(message.action, message.checkpoint);
      case 'media':
      case 'mediaRead':
        // Both are requested again once the daemon is back.
        return this.#media.take(message).catch(ignoreUnavailable);
      case 'code':
        return this.#askCode();
      case 'openFile':
        return run && this.#code && this.#actions.openFile(run, this.#code, message.path);
      case 'openAll':
        return run && this.#code && this.#actions.openAll(run, this.#code);
      case 'openRun':
        return this.#actions.openRun(message.run);
      default:
        return this.#feed.take(message);
    }
  }

  #actOn(action: Extract<RunPageSaid, { say: 'actOn' }>['action'], id: string): unknown {
    const checkpoint = this.#state?.checkpoints.find((one: Checkpoint) => one.id === id);
    return checkpoint && this.#actions.actOn(action, this.#state!.run, checkpoint);
  }

  #push(news: RunPageNews): void {
    if (this.#ready) this.#host.post(news);
  }
}
