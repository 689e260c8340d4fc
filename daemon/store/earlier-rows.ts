/** Records in the catalog's rows, those of earlier versions included: they wrote metrics that are no number as null. */
import type { Checkpoint, MetricSummary, Run } from '../../protocol/domain.ts';

export function runIn(body: string): Run {
  const run = JSON.parse(body) as Run;
  for (const name in run.metrics) {
    const summary = run.metrics[name] as MetricSummary & { last: unknown; notFinite?: number };
    if (summary.last === null) summary.last = 'NaN';
    summary.notFinite ??= summary.last === 'NaN' ? 1 : 0;
  }
  return run;
}

export function checkpointIn(body: string): Checkpoint {
  const checkpoint = JSON.parse(body) as Checkpoint;
  for (const name in checkpoint.metrics) checkpoint.metrics[name] ??= 'NaN';
  return checkpoint;
}
