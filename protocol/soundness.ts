/** The rule for whether a checkpoint's state is one to go on from. Retention, resumes and displays follow it. */
import type { Checkpoint, Monitor } from './domain.ts';
import { hasDiverged } from './numbers.ts';

/**
 * Names the trouble of a checkpoint's state; null: as far as is known there is none. A run that is about to be rolled back
 * gives it as the reason of the checkpoint that it takes at that moment.
 */
export function troubleOf(
  { metrics, reasons, trouble }: Pick<Checkpoint, 'metrics' | 'reasons' | 'trouble'>,
  monitor: Monitor | null,
): 'diverged' | 'spike' | null {
  if (trouble === 'nan' || reasons.includes('nan') || hasDiverged(monitor, (metric) => metrics[metric]))
    return 'diverged';
  return trouble === 'spike' || reasons.includes('spike') ? 'spike' : null;
}
