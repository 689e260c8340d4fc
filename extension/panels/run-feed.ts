/** Feeds a page with what it asks about runs: their curves, checkpoints, and one log. */
import * as vscode from 'vscode';
import type { Checkpoint, MetricSeries, Run } from '../../protocol/domain.ts';
import { isError } from '../../protocol/errors.ts';
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { logRead, metricsQuery } from '../../protocol/messages/metrics.ts';
import { fromWireNumber } from '../../protocol/numbers.ts';
import { integer } from '../../protocol/words.ts';
import type { DashboardNews, FeedSaid } from '../../webview-ui/contract.ts';
import { type App, report } from '../core/app.ts';
import { plain } from '../core/text.ts';
import type { Node } from '../views/runs.ts';

const LOG_POLL_MS = 1_000;
/** Size limit of a log: of a longer one the end is shown. */
const LOG_BYTES = 1 << 20;

interface FollowedLog {
  run: string;
  offset: number;
  timer: NodeJS.Timeout | null;
}

export class RunFeed {
  readonly #app: App;
  readonly #root: string;
  readonly #push: (news: DashboardNews) => void;
  readonly #runOf: (id: string) => Run | undefined;
  #log: FollowedLog | null = null;

  constructor(app: App, root: string, push: (news: DashboardNews) => void, runOf: (id: string) => Run | undefined) {
    this.#app = app;
    this.#root = root;
    this.#push = push;
    this.#runOf = runOf;
  }

  take(message: Exclude<FeedSaid, { say: 'ready' }>): unknown {
    switch (message.say) {
      case 'curves':
        return this.#curves(message);
      case 'checkpoints':
        return this.checkpointsChanged(message.run);
      case 'log':
        return this.#follow(message.run);
      case 'checkpoint':
        return this.#offer(message.run, message.checkpoint);
    }
  }

  appended(run: string, series: readonly MetricSeries[]): void {
    const startedAt = this.#runOf(run)?.startedAt ?? Date.now();
    for (const one of series) {
      const columns = columnsOf(one);
      // A notification has no time, but it arrives at once.
      columns.times.fill((Date.now() - startedAt) / 1000);
      this.#push({ type: 'points', run, name: one.name, ...columns });
    }
  }

  checkpointsChanged(run: string): void {
    this.#marks(run).catch((error) => {
      // Both are requested again once the daemon is back.
      if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) void report(this.#app, error);
    });
  }

  dispose(): void {
    this.#follow(null);
  }

  async #marks(run: string): Promise<void> {
    const { checkpoints } = await this.#app.connection.poll(checkpointList, { root: this.#root, run });
    const marks = checkpoints.map(({ id, step, tags }: Checkpoint) => ({ id, run, step, tags }));
    this.#push({ type: 'checkpoints', run, marks });
  }

  async #curves({ runs, names, from, to, buckets }: Extract<FeedSaid, { say: 'curves' }>): Promise<void> {
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

  /** Offers actions for a checkpoint that was clicked on the axis. */
  async #offer(run: string, id: string): Promise<void> {
    const { checkpoints } = await this.#app.connection.request(checkpointList, { root: this.#root, run });
    const checkpoint = checkpoints.find((one) => one.id === id);
    const known = this.#runOf(run);
    if (!checkpoint || !known) return;
    const items = [
      { label: '$(play) Resume from here', command: 'resumeFrom' },
      { label: '$(repo-forked) Fork', command: 'fork' },
      { label: '$(diff) Compare…', command: 'compare' },
      { label: '$(export) Export…', command: 'export' },
      { label: '$(verified) Verify', command: 'verify' },
      { label: '$(tag) Tag…', command: 'tag' },
      { label: '$(desktop-download) Restore files to a folder…', command: 'restoreFiles' },
    ];
    const title = `${plain(known.name)} at step ${integer(checkpoint.step)}`;
    const chosen = await vscode.window.showQuickPick(items, { title });
    this.#app.model.know(this.#root, known);
    const node: Node = { kind: 'checkpoint', root: this.#root, run, checkpoint };
    if (chosen) await vscode.commands.executeCommand(`trainstash.${chosen.command}`, node);
  }
}

function columnsOf({ steps, values, times }: Pick<MetricSeries, 'steps' | 'values' | 'times'>) {
  return {
    xs: Float64Array.from(steps),
    ys: Float64Array.from(values, fromWireNumber),
    times: Float64Array.from(times),
  };
}
