/** How numbers, sizes and times are written for people: the same on the command line, in the editor and in notices. */
import type { Run } from './domain.ts';
import type { StashSummary } from './messages.ts';

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

/** `1 checkpoint`, `2 checkpoints`. */
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
  return seconds < 5 ? 'just now' : `${duration(seconds)} ago`;
}

/** Four significant digits; the names of what is no number. */
export function metric(value: number | undefined): string {
  if (value === undefined) return '';
  if (!Number.isFinite(value)) return String(value).replace('Infinity', '∞');
  if (value === 0) return '0';
  const size = Math.abs(value);
  return size >= 1e5 || size < 1e-4 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
}

/** 0 to 100, rounded down: 100 means done. 0 while the end is unknown. */
export function percent(run: Run): number {
  return run.totalSteps ? Math.min(100, Math.floor((run.step / run.totalSteps) * 100)) : 0;
}

/** `val_loss 0.123`: the best of what the run watches, else its newest loss; empty without either. */
export function bestText({ monitor, metrics }: Run): string {
  const summary = monitor ? metrics[monitor.metric] : undefined;
  if (monitor && summary) return `${monitor.metric} ${metric(monitor.mode === 'min' ? summary.min : summary.max)}`;
  return metrics.loss ? `loss ${metric(metrics.loss.last)}` : '';
}

/** Why files are stashed, and whether they come back by themselves. */
export function stashReason({ reason, droppedAt, automatic }: StashSummary): string {
  if (droppedAt !== null) return 'dropped';
  if (reason === 'vanished') return 'vanished';
  if (reason === 'conflict') return 'was in the way';
  return automatic ? 'comes back by itself' : 'offered';
}
