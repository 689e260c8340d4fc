import type { Run } from '../../protocol/domain.ts';

/** The summaries with the newest values in them; exact ones are computed when the run has ended. */
export function withValues(run: Run, step: number, values: Record<string, number>): Run['metrics'] {
  const metrics = { ...run.metrics };
  for (const [name, value] of Object.entries(values)) {
    const known = metrics[name];
    const lower = !known || value < known.min;
    const higher = !known || value > known.max;
    metrics[name] = {
      last: value,
      lastStep: step,
      min: lower ? value : known.min,
      minStep: lower ? step : known.minStep,
      max: higher ? value : known.max,
      maxStep: higher ? step : known.maxStep,
      count: (known?.count ?? 0) + 1,
    };
  }
  return metrics;
}
