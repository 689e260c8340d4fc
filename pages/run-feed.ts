/** Feeds a page with what it asks about runs: their curves, checkpoints, and one log. */

import { setTimeout as delay } from 'node:timers/promises';
import { nextLogPage } from '../client/follow-log.ts';
import type { Checkpoint, MetricSeries, Run } from '../protocol/domain.ts';
import { isError } from '../protocol/errors.ts';
import { type LogPage, logRead, metricsQuery } from '../protocol/messages/metrics.ts';
import { fromWireNumber } from '../protocol/numbers.ts';
import type { DashboardNews, FeedSaid } from '../webview-ui/contract.ts';
import { allCheckpoints } from './all-checkpoints.ts';
import type { FeedActions, PageHost, PageProject } from './host.ts';

/** Time between looks at a log that has ended, and between tries. */
const REST_MS = 1_000;
/** Size limit of a log: of a longer one the end is shown. */
const LOG_BYTES = 1 << 20;

interface FollowedLog {
  run: string;
  offset: number;
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
    this.#log = run === null ? null : { run, offset: 0 };
    if (this.#log) void this.#readLog(this.#log);
  }

  /** Posts a log, what is there of it in one message, and then what is printed, until another one is followed. */
  async #readLog(log: FollowedLog): Promise<void> {
    for (let first = true; this.#log === log; ) {
      try {
        let { text, ended } = await this.#nextPage(log, !first);
        for (let more = text; more !== ''; text = (text + more).slice(-LOG_BYTES))
          more = (await this.#nextPage(log, false)).text;
        if (this.#log !== log) return;
        if (text !== '' || first) this.#host.post({ type: 'log', run: log.run, text, first });
        first = false;
        // It may be resumed.
        if (text === '' && ended) await delay(REST_MS);
      } catch (error) {
        if (!isError(error, 'notFound') && !isError(error, 'daemonUnavailable')) this.#host.failed(error);
        await delay(REST_MS);
      }
    }
  }

  /** Reads the next page. `waits`: an empty one comes only after a while in which nothing was printed. */
  async #nextPage(log: FollowedLog, waits: boolean): Promise<LogPage> {
    const { connection, root } = this.#project;
    const place = { root, run: log.run, offset: log.offset, last: LOG_BYTES };
    const page = waits
      ? await nextLogPage((message, params) => connection.poll(message, params), place)
      : await connection.poll(logRead, place);
    log.offset = page.offset;
    return page;
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
