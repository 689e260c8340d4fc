/** Handlers of the messages about reading runs: lists, metrics, logs. */
import type { Run } from '../../protocol/domain.ts';
import { checkpointList } from '../../protocol/messages/checkpoint.ts';
import { logRead, metricsQuery, usageQuery } from '../../protocol/messages/metrics.ts';
import { runList, runShow } from '../../protocol/messages/run.ts';
import { nextLog } from '../runs/log.ts';
import { readUsage } from '../runs/usage.ts';
import type { Handling } from './handling.ts';

const PAGE = 200;
const USAGE_POINTS = 200;

export function listingHandlers({ on, daemon, access }: Handling): void {
  on(runList, 'reads', async ({ root, branch, drafts, trashed, cursor, limit }) => {
    const { store, runs } = await access.withBranchNames(root);
    const size = Math.min(limit || PAGE, PAGE);
    const page = await store.runs({
      branch,
      drafts: drafts ?? false,
      trashed: trashed ?? false,
      before: cursor ? Number(cursor) : null,
      limit: size,
    });
    return {
      revision: daemon.revision,
      runs: withLive(page.runs, runs.liveRuns()),
      total: page.total,
      next: page.runs.length === size ? String(page.runs.at(-1)!.number) : null,
    };
  });
  on(runShow, 'reads', async ({ root, run: query }) => {
    const { store, runs } = await access.withBranchNames(root);
    const { run, ...shown } = await store.showRun(query, PAGE);
    return { run: withLive([run], runs.liveRuns())[0]!, ...shown };
  });
  on(checkpointList, 'reads', async ({ root, run: query, trashed, cursor, limit }) => {
    const { store } = await access.project(root);
    const run = await store.findRun(query);
    const size = Math.min(limit || PAGE, PAGE);
    const after = Number(cursor ?? 0);
    const checkpoints = await store.checkpointPage(run.id, trashed ?? false, after, size);
    return { revision: daemon.revision, checkpoints, next: checkpoints.length === size ? String(after + size) : null };
  });
  on(metricsQuery, 'reads', async ({ root, run: query, ...range }) => {
    const { store } = await access.project(root);
    const run = await store.findRun(query);
    return { series: await store.queryMetrics(run.id, { ...range, buckets: range.buckets || 2_000 }) };
  });
  on(usageQuery, 'reads', async ({ root, run, buckets }) => {
    const { context, store } = await access.project(root);
    return { series: await readUsage(context, await store.findRun(run), buckets ?? USAGE_POINTS) };
  });
  on(logRead, 'reads', async ({ root, run: query, ...place }, _, { signal }) => {
    const { context, store, runs } = await access.project(root);
    const find = async () => withLive([await store.findRun(query)], runs.liveRuns())[0]!;
    return nextLog(context, find, place, signal);
  });
}

/** Replaces rows with newer ones from memory. */
export function withLive(rows: Run[], live: readonly Run[]): Run[] {
  return rows.map((row) => live.find(({ id }) => id === row.id) ?? row);
}
