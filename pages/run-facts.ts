/** Facts about runs that pages, trees and tooltips share. Pure. */
import type { Checkpoint, Run } from '../protocol/domain.ts';
import { fromWireNumber } from '../protocol/numbers.ts';
import { ENDED_EARLY_STATUSES } from '../protocol/status.ts';
import { alarmIn, metric } from '../protocol/words.ts';

/** Describes a run's newest value that is worth a warning, `loss is NaN`; empty: there is none. */
export function alarmText(run: Run): string {
  const alarm = alarmIn(run);
  return alarm === null ? '' : `${alarm} is ${metric(run.metrics[alarm]!.last)}`;
}

/** Tells whether a run ended early and has a checkpoint. */
export function canGoOn({ status, checkpoints }: Run): boolean {
  return ENDED_EARLY_STATUSES.includes(status) && checkpoints > 0;
}

/** Finds the best checkpoint by the metric that its run is judged by; of equal ones the earliest. */
export function bestOf(
  checkpoints: readonly Checkpoint[],
  monitor: Run['monitor'] | undefined,
): Checkpoint | undefined {
  if (!monitor) return undefined;
  const sign = monitor.mode === 'min' ? 1 : -1;
  const value = ({ metrics }: Checkpoint) => sign * fromWireNumber(metrics[monitor.metric] ?? 'NaN');
  const known = checkpoints.filter((checkpoint) => Number.isFinite(value(checkpoint)));
  return known.sort((a, b) => value(a) - value(b) || a.step - b.step)[0];
}
