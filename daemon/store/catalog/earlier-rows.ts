/** Migrates rows of earlier versions, which wrote metrics that are not finite as null, before any validation. */

/** Corrects the record of a run in place. Returns true if it changed. */
export function mendRun(run: unknown): boolean {
  let mended = false;
  for (const summary of Object.values(metricsOf(run))) {
    if (!isRecord(summary)) continue;
    if (summary.last === null) {
      summary.last = 'NaN';
      mended = true;
    }
    if (summary.notFinite === undefined) {
      summary.notFinite = summary.last === 'NaN' ? 1 : 0;
      mended = true;
    }
  }
  return mended;
}

/** Corrects the record of a checkpoint in place. Returns true if it changed. */
export function mendCheckpoint(checkpoint: unknown): boolean {
  const metrics = metricsOf(checkpoint);
  const lost = Object.keys(metrics).filter((name) => metrics[name] === null);
  for (const name of lost) metrics[name] = 'NaN';
  return lost.length > 0;
}

function metricsOf(record: unknown): Record<string, unknown> {
  return isRecord(record) && isRecord(record.metrics) ? record.metrics : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}
