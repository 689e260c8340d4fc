/** Rules for the walkthrough's ticks. Pure, and does not use `vscode`. */
import type { Run } from '../../protocol/domain.ts';

/** Steps of the walkthrough; `trainstash.did.<step>` is the key that its completion waits for. */
export type FirstStep = 'train' | 'look' | 'resume' | 'job' | 'interrupt';

const SOUND = new Set<Run['status']>(['running', 'pausing', 'paused', 'completed', 'stopped', 'lost']);

/** Lists the steps that a run is a proof of. */
export function stepsOf(run: Pick<Run, 'status' | 'step' | 'checkpoints' | 'sessions' | 'notices'>): FirstStep[] {
  const trains = SOUND.has(run.status) && (run.step > 0 || run.checkpoints > 0 || run.status === 'completed');
  if (!trains) return [];
  // It says so once it has gone on.
  const madeWay = run.notices.some(({ code }) => code === 'interrupted');
  return ['train', ...(run.sessions > 1 ? (['resume'] as const) : []), ...(madeWay ? (['interrupt'] as const) : [])];
}
