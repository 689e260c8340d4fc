/** Formats numbers, sizes and times for people: the same on the command line, in the editor and in notices. */
import type { Run } from './domain.ts';
import type { StashSummary } from './messages/branch.ts';
import { alarmingMetric, fromWireNumber, type WireNumber } from './numbers.ts';

export function bytes(count: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.5 ? Math.round(value) : value.toPrecision(value >= 9.95 ? 3 : 2)} ${units[unit]}`;
}

export function integer(count: number): string {
  return Math.round(count).toLocaleString('en-US');
}

/** Counts with a noun: `1 checkpoint`, `2 checkpoints`. */
export function counted(count: number, one: string, many = `${one}s`): string {
  return `${integer(count)} ${count === 1 ? one : many}`;
}

export function duration(seconds: number): string {
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${(seconds / 3600).toFixed(1)} h`;
  return `${Math.round(seconds / 86_400)} days`;
}

export function age(at: number, now = Date.now()): string {
  const seconds = Math.max(0, (now - at) / 1000);
  return seconds < 5 ? 'just now' : `${duration(Math.floor(seconds))} ago`;
}

/** Writes four significant digits, `NaN`, `∞` and `-∞` by name, and an empty string for a missing value. */
export function metric(wire: WireNumber | null | undefined): string {
  if (wire === undefined || wire === null) return '';
  const value = fromWireNumber(wire);
  if (!Number.isFinite(value)) return String(value).replace('Infinity', '∞');
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** Writes a dash for a missing value: in tables an empty cell would look forgotten. */
export function orDash(wire: WireNumber | null | undefined): string {
  return metric(wire) || '–';
}

/** Writes all digits: two numbers that differ in a bit are different texts. */
export function exactly(wire: WireNumber): string {
  const value = fromWireNumber(wire);
  return Object.is(value, -0) ? '-0' : String(value).replace('Infinity', '∞');
}

/** Returns 0 to 100, rounded down: 100 means done, 0 also that the end is unknown. */
export function percent(run: Run): number {
  return run.totalSteps ? Math.min(100, Math.floor((run.step / run.totalSteps) * 100)) : 0;
}

/**
 * Writes `val_loss 0.123`, the best value of the run's monitor, else its newest loss, else nothing. If the loss or the monitor is
 * not finite now, that is added: `val_loss 0.123, now NaN`, or `val_loss 0.123, loss NaN`.
 */
export function bestText(run: Run): string {
  const { monitor, metrics } = run;
  const summary = monitor ? metrics[monitor.metric] : undefined;
  const best = summary && (monitor!.mode === 'min' ? summary.min : summary.max);
  const alarm = alarmIn(run);
  const record = best == null ? '' : `${monitor!.metric} ${metric(best)}`;
  if (alarm !== null) {
    const now = metric(metrics[alarm]!.last);
    if (record === '') return `${alarm} ${now}`;
    return `${record}, ${alarm === monitor!.metric ? 'now' : alarm} ${now}`;
  }
  if (record !== '') return record;
  return metrics.loss ? `last loss ${metric(metrics.loss.last)}` : '';
}

/** Returns what the newest rehearsal of a run found, in one line; empty: there was none. */
export function rehearsalText({ notices }: Pick<Run, 'notices'>): string {
  return notices.findLast(({ code }) => code === 'rehearsed')?.text ?? '';
}

/** Finds the metric whose newest value is not finite, which is worth a warning; null: there is none. */
export function alarmIn({ monitor, metrics }: Pick<Run, 'monitor' | 'metrics'>): string | null {
  return alarmingMetric(monitor, (name) => metrics[name]?.last);
}

/** Describes what a resume of an ended run would do; empty if there is nothing to continue from. */
export function resumeWords(run: Run): string {
  const { lastCheckpoint, failure, startsAnew } = run;
  if (!lastCheckpoint) return '';
  if (failure === 'stateMismatch') return 'would fail in the same way: its checkpoint does not match the current code';
  const step = `step ${integer(lastCheckpoint.step)}`;
  return startsAnew
    ? `restarts it from the beginning, with the files of ${step} in place; its script is not told to load them`
    : `continues from ${step}`;
}

/** Says why files are stashed, and whether they are restored automatically. */
export function stashReason({ reason, droppedAt, automatic }: StashSummary): string {
  if (droppedAt !== null) return 'dropped';
  if (reason === 'vanished') return 'vanished';
  if (reason === 'conflict') return 'conflict';
  if (reason === 'replaced') return 'was replaced';
  return automatic ? 'returns with its branch' : 'restore it manually';
}
