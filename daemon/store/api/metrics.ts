/** Reads curves along a run's lineage. */
import type { MetricSeries, MetricSummary } from '../../../protocol/domain.ts';
import { toWireNumber } from '../../../protocol/numbers.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { lineageOf } from '../catalog/lineage.ts';
import type { Metrics } from '../catalog/metrics.ts';
import { compareOverlap } from '../catalog/overlap.ts';
import { summarize } from '../catalog/points.ts';
import type { Parts } from './parts.ts';

/** Summarizes the metrics along a run's lineage. */
export function summariesOf(catalog: Catalog, metrics: Metrics, run: string): Record<string, MetricSummary> {
  const segments = lineageOf(catalog, run);
  const entries = metrics
    .lineageNames(segments)
    .map((name) => [name, summarize(metrics.lineage(segments, name))] as const);
  return Object.fromEntries(entries.filter((entry): entry is [string, MetricSummary] => entry[1] !== null));
}

export function metricsApi(parts: Parts) {
  return {
    queryMetrics(
      run: string,
      query: { names?: string[]; fromStep?: number; toStep?: number; buckets?: number },
    ): MetricSeries[] {
      const segments = lineageOf(parts.catalog, run);
      const names = query.names ?? parts.metrics.lineageNames(segments);
      const start = parts.catalog.run(run)?.startedAt ?? 0;
      const range = {
        from: (query.fromStep ?? Number.NEGATIVE_INFINITY) - 0.5,
        to: query.toStep ?? Number.POSITIVE_INFINITY,
      };
      return names.map((name) => {
        const { points, total } = parts.metrics.curve(segments, name, range, query.buckets ?? 0);
        return {
          name,
          steps: Array.from(points.steps),
          values: Array.from(points.values, toWireNumber),
          times: Array.from(points.times, (time) => (time - start) / 1000),
          total,
        };
      });
    },
    /** Lists the sessions that make up a run's curves, each with the last step that counts. */
    lineage: (run: string) => lineageOf(parts.catalog, run),
    summarizeMetrics: (run: string): Record<string, MetricSummary> => summariesOf(parts.catalog, parts.metrics, run),
    compareOverlap: (session: string) => compareOverlap(parts.catalog, parts.metrics, session),
  };
}
