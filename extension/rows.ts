/** A run as the table of the dashboard shows it. Pure, and free of `vscode`. */
import { LIVE_STATUSES, type Params, type Run } from '../protocol/domain.ts';
import type { RunRow } from './pages/messages.ts';

export function rowOf(run: Run): RunRow {
  const { id, number, name, label, branch, status, draft, createdAt, step, totalSteps, stepsPerEpoch, monitor } = run;
  const metrics = Object.entries(run.metrics).map(([metric, summary]) => {
    const isMax = monitor?.metric === metric && monitor.mode === 'max';
    const best = isMax ? summary.max : summary.min;
    return [metric, { last: summary.last, best, bestStep: isMax ? summary.maxStep : summary.minStep }] as const;
  });
  return {
    id,
    number,
    name,
    label,
    branch,
    status,
    live: LIVE_STATUSES.includes(status),
    draft,
    createdAt,
    step,
    share: totalSteps ? Math.min(1, step / totalSteps) : null,
    stepsPerEpoch,
    params: Object.fromEntries(flatten(run.params, '')),
    metrics: Object.fromEntries(metrics),
    parent: run.parent?.run ?? null,
  };
}

/** Lists and what is nested deeper are shown as their text. */
function flatten(params: Params, before: string): [string, string | number | boolean | null][] {
  return Object.entries(params).flatMap(([key, value]): [string, string | number | boolean | null][] => {
    if (value !== null && typeof value === 'object')
      return Array.isArray(value) ? [[before + key, JSON.stringify(value)]] : flatten(value, `${before}${key}.`);
    return [[before + key, value]];
  });
}
