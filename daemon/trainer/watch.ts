/** Notices a loss that is not a number, or far from where it was. */
import type { Progress } from './state.ts';

const WINDOW = 100;
const MIN_WINDOW = 50;
const SPIKE_DEVIATIONS = 10;

export type Verdict = 'fine' | 'nan' | 'spike';

/** Judges a loss and remembers it in `progress`, which is kept with every checkpoint. */
export function judgeLoss(loss: number, progress: Progress): Verdict {
  if (!Number.isFinite(loss)) return 'nan';
  const { recentLosses } = progress;
  const spike = recentLosses.length >= MIN_WINDOW && loss > limitOf(recentLosses);
  recentLosses.push(loss);
  if (recentLosses.length > WINDOW) recentLosses.shift();
  return spike ? 'spike' : 'fine';
}

/** Mean and deviation without the largest tenth, so that a spike does not hide the next. */
function limitOf(losses: readonly number[]): number {
  const calm = [...losses].sort((a, b) => a - b).slice(0, Math.ceil(losses.length * 0.9));
  const mean = calm.reduce((a, b) => a + b, 0) / calm.length;
  const variance = calm.reduce((sum, loss) => sum + (loss - mean) ** 2, 0) / calm.length;
  return mean + SPIKE_DEVIATIONS * Math.max(Math.sqrt(variance), Math.abs(mean) * 0.02);
}
