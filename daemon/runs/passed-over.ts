/** What is said of checkpoints that are newer than the one which a run goes on from. */
import type { Checkpoint, Monitor } from '../../protocol/domain.ts';
import { counted, integer } from '../../protocol/words.ts';
import { isDiverged } from '../store/retention.ts';

const MAX_NAMED = 4;

/** `checkpoints`: those that are passed over; `number`: of the run. */
export function passedOverText(
  step: number,
  checkpoints: readonly Checkpoint[],
  { number, monitor }: { number: number; monitor: Monitor | null },
): string {
  const named = checkpoints
    .slice(-MAX_NAMED)
    .map((checkpoint) => `step ${integer(checkpoint.step)} ${reasonsOf(checkpoint, monitor).join(' and ')}`);
  const more = checkpoints.length - named.length;
  const all = more > 0 ? [...named, `${counted(more, 'other')}`] : named;
  const which = checkpoints.length === 1 ? 'it' : 'one of them';
  return `It goes on from step ${integer(step)}. Newer checkpoints were passed over: ${all.join('; ')}. \`trainstash resume ${number} --from STEP\` takes ${which} all the same.`;
}

function reasonsOf(checkpoint: Checkpoint, monitor: Monitor | null): string[] {
  const reasons: string[] = [];
  if (checkpoint.lacks?.length) reasons.push(`lacks ${checkpoint.lacks.join(', ')}`);
  if (isDiverged(checkpoint, monitor)) reasons.push('is of a diverged state');
  return reasons;
}
