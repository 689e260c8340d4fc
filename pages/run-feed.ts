/** Feeds a page with what it asks about runs: their curves, checkpoints, and one log. */

import type { Checkpoint, MetricSeries, Run } from '../protocol/domain.ts';
import { isError } from '../protocol/errors.ts';
import { logRead, metricsQuery } from '../protocol/messages/metrics.ts';
import { fromWireNumber } from '../protocol/numbers.ts';
import type { DashboardNews, FeedSaid } from '../webview-ui/contract.ts';
import { allCheckpoints } from './all-checkpoints.ts';
import type { FeedActions, PageHost, PageProject } from './host.ts';

const LOG_POLL_MS = 1_000;
/** Size limit of a log: of a longer one the end is shown. */
const LOG_BYTES = 1 << 20;

interface FollowedLog {
  run: string;
  offset: number;
  timer: NodeJS.Timeout | null;
}

export class RunFeed {
  readonly #project: PageProject;
  readonly #host: Pick<PageHost<DashboardNews>, 'post' | 'failed'>;
  readonly #actions: FeedActions;
  readonly #runOf: (id: string) => Run | undefined;
  #log: FollowedLog | null = null;

  constructor(
    project: PageProject,
    host: Pick<PageHost<DashboardNews>, 'post' | 'failed'>,
    actions: FeedActions,
    runOf: (id: string) => Run | undefined,
  ) {
    this.#project = project;
    this.#host = host;
    this.#actions = actions;
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
      this.#host.post({ type: 'points', run, name: one.name, ...columns });
    }
  }

  checkpointsChanged(run: string): void {
    this.#marks(run).catch((error) => {
      // Both are requested again once the daemon is back.
      if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) this.#host.failed(error);
    });
  }

  dispose(): void {
    this.#follow(null);
  }

  async #marks(run: string): Promise<void> {
    const checkpoints = await allCheckpoints(this.#project.connection, this.#project.root, run);
    const marks = checkpoints.map(({ id, step, tags }: Checkpoint) => ({ id, run, step, tags }));
    this.#host.post({ type: 'checkpoints', run, marks });
  }

  async #curves({ runs, names, from, to, buckets }: Extract<FeedSaid, { say: 'curves' }>): Promise<void> {
    const range = { ...(from === null ? {} : { fromStep: from }), ...(to === null ? {} : { toStep: to }) };
    for (const name of names) {
      for (const run of runs) {
        const params = { root: this.#project.root, run, names: [name], buckets, ...range };
        try {
          const { series } = await this.#project.connection.poll(metricsQuery, params);
          const columns = columnsOf(series[0] ?? { steps: [], values: [], times: [] });
          this.#host.post({ type: 'curve', run, name, from, to, ...columns });
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
        const page = await this.#project.connection.poll(logRead, {
          root: this.#project.root,
          run: log.run,
          offset: log.offset,
          last: LOG_BYTES,
        });
        if (this.#log !== log) return;
        text = (text + page.text).slice(-LOG_BYTES);
        log.offset = page.offset;
        if (page.text === '') break;
      }
      if (text !== '' || first) this.#host.post({ type: 'log', run: log.run, text, first });
    } catch (error) {
      if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) this.#host.failed(error);
    }
    if (this.#log !== log) return;
    log.timer = setTimeout(() => void this.#readLog(log, false), LOG_POLL_MS);
  }

  /** Offers actions for a checkpoint that was clicked on the axis. */
  async #offer(run: string, id: string): Promise<void> {
    const checkpoint = (await allCheckpoints(this.#project.connection, this.#project.root, run)).find(
      (one) => one.id === id,
    );
    const known = this.#runOf(run);
    if (!checkpoint || !known) return;
    this.#project.runs.know(known);
    await this.#actions.offer(known, checkpoint);
  }
}

function columnsOf({ steps, values, times }: Pick<MetricSeries, 'steps' | 'values' | 'times'>) {
  return {
    xs: Float64Array.from(steps),
    ys: Float64Array.from(values, fromWireNumber),
    times: Float64Array.from(times),
  };
}
