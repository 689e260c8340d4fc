/** Texts about a run's launch, for people. Pure. */
import type { Checkpoint, CodeIdentity, Monitor, Notice, Run } from '../../../protocol/domain.ts';
import { counted, duration, integer } from '../../../protocol/words.ts';
import { isDiverged, keepsOptimizer } from '../../store/maintenance/retention.ts';
import { type CodeDifference, differenceText } from '../launch/identity.ts';
import type { QueueEntry } from '../launch/queue.ts';
import { type RestoredFiles, restoredText } from '../launch/restore-files.ts';
import type { Identity } from '../records.ts';

const MAX_NAMED = 4;

export type LaunchNotice = Pick<Notice, 'code' | 'level' | 'text' | 'equalSteps'>;

/** Describes how the files of a script that resumes from them were restored. */
export function restoredNotices(back: RestoredFiles): LaunchNotice[] {
  return restoredText(back).map((words) => ({ code: 'putBack', ...words }));
}

/** Lists the checkpoints newer than `step`, from which a run resumes, and why each was passed over. */
export function passedOverNotices(
  { number, monitor }: Pick<Run, 'number' | 'monitor'>,
  step: number,
  checkpoints: readonly Checkpoint[],
): LaunchNotice[] {
  if (checkpoints.length === 0) return [];
  const named = checkpoints
    .slice(-MAX_NAMED)
    .map((checkpoint) => `step ${integer(checkpoint.step)} ${reasonsOf(checkpoint, monitor).join(' and ')}`);
  const more = checkpoints.length - named.length;
  const all = more > 0 ? [...named, counted(more, 'other')] : named;
  const which = checkpoints.length === 1 ? 'it' : 'one of them';
  const text = `It resumes from step ${integer(step)}. Newer checkpoints were passed over: ${all.join('; ')}. \`trainstash resume ${number} --from STEP\` uses ${which} anyway.`;
  return [{ code: 'passedOver', level: 'warning', text }];
}

function reasonsOf(checkpoint: Checkpoint, monitor: Monitor | null): string[] {
  const reasons: string[] = [];
  if (checkpoint.lacks?.length) reasons.push(`lacks ${checkpoint.lacks.join(', ')}`);
  if (isDiverged(checkpoint, monitor)) reasons.push('has a diverged state');
  if (!keepsOptimizer(checkpoint)) reasons.push('has no optimizer state');
  return reasons;
}

/** Describes a session whose code differs from the run's record, or from the session before. */
export function otherCodeNotices(
  session: number,
  before: CodeIdentity,
  now: Identity,
  difference: CodeDifference,
): LaunchNotice[] {
  if (!difference.head && !difference.code) return [];
  const text = differenceText(difference, before, now);
  const what =
    session === 1
      ? `Changed since the run was requested: ${text}. It is recorded with the code that it runs.`
      : `Session ${session}: ${text}. Its checkpoints are recorded with that state.`;
  return [{ code: 'codeChanged', level: difference.code ? 'warning' : 'info', text: what }];
}

/** Reports that the quota has cost `pruned` older checkpoints. `over`: the store is still above it. */
export function quotaNotice(pruned: number, over: boolean): LaunchNotice {
  const still = over ? ', and it is still above it' : '';
  const text = `The store is at its quota: ${counted(pruned, 'older automatic checkpoint was', 'older automatic checkpoints were')} deleted${still}. \`trainstash where\` shows sizes; \`trainstash rm\` and \`gc --empty-trash\` free space.`;
  return { code: 'quota', level: 'warning', text };
}

export function stalledNotice({ number }: Pick<Run, 'number'>): LaunchNotice {
  const text = `No step for 4 minutes. \`trainstash log ${number}\` shows its output; \`trainstash stop --force\` ends it if it hangs.`;
  return { code: 'stalled', level: 'warning', text };
}

/** Says what an interruption for an urgent run has cost. `checkpoint`: the one that the run goes on from. */
export function interruptionNotices(
  { byName, askedAt, endedAt, step }: NonNullable<QueueEntry['interruption']>,
  checkpoint: Pick<Checkpoint, 'step'> | null,
  now: number,
): LaunchNotice[] {
  const lost = Math.max(0, step - (checkpoint?.step ?? 0));
  const saving = endedAt === null ? '' : ` It was free ${seconds(endedAt - askedAt)} after it had been asked.`;
  const loss =
    checkpoint === null
      ? 'It had no checkpoint, and starts again from the beginning.'
      : lost === 0
        ? `No step was lost: it goes on from step ${integer(checkpoint.step)}.`
        : `${counted(lost, 'step is', 'steps are')} trained again, from step ${integer(checkpoint.step)}.`;
  const text = `It was interrupted at step ${integer(step)} for ${byName}, and goes on ${seconds(now - askedAt)} later.${saving} ${loss}`;
  return [{ code: 'interrupted', level: lost === 0 && checkpoint !== null ? 'info' : 'warning', text }];
}

function seconds(milliseconds: number): string {
  return milliseconds < 10_000 ? `${(milliseconds / 1000).toFixed(1)} s` : duration(milliseconds / 1000);
}
