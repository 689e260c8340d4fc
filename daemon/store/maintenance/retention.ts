/** Decides which automatic checkpoints of a run may be deleted. Pure: the rules, without a store. */
import type { Checkpoint, Monitor, Run } from '../../../protocol/domain.ts';
import { fromWireNumber, isBetter } from '../../../protocol/numbers.ts';
import { troubleOf } from '../../../protocol/soundness.ts';

export interface KeepPolicy {
  /** Number of newest checkpoints to keep. */
  last: number;
  /** Divisor of the steps to keep. */
  every: number | null;
  /** Metric that determines the best checkpoint. */
  monitor: Monitor | null;
}

export const DEFAULT_KEEP: KeepPolicy = { last: 3, every: null, monitor: null };

/** Reason for keeping a checkpoint: code decides by `kind`, and people read `text`. */
export interface KeepReason {
  readonly kind: 'pin' | 'tag' | 'fork' | 'resumed' | 'request' | 'restored' | 'best' | 'newest' | 'last' | 'every';
  readonly text: string;
}

/** Reason of checkpoints that the user requested: never pruned automatically. */
const MANUAL_REASON = 'request';

/**
 * Maps each checkpoint to the reasons for keeping it; an empty list means that it may be deleted. `needed`: resumed
 * from, or a fork's parent.
 */
export function keptBecause(
  checkpoints: readonly Checkpoint[],
  policy: KeepPolicy,
  needed: ReadonlyMap<string, KeepReason>,
): Map<string, KeepReason[]> {
  const byStep = [...checkpoints].sort((a, b) => a.step - b.step || a.createdAt - b.createdAt);
  // By time: where a training started over, the newest have lower steps.
  const byTime = [...checkpoints].sort(byAge);
  const whole = wholeOf(byTime);
  const good = whole.filter((checkpoint) => !isDiverged(checkpoint, policy.monitor));
  const last = -Math.max(1, policy.last);
  // Weights that a script saves beside its checkpoints are kept as well, and displace none of those.
  const weightsOnly = byTime.filter((checkpoint) => hasAllParts(checkpoint) && !whole.includes(checkpoint));
  // Diverged checkpoints also count as newest, but displace no good one; incomplete ones displace no complete one.
  const newest = new Set(
    [
      ...good.slice(last),
      ...(whole.length > 0 ? whole : byTime).slice(last),
      ...weightsOnly.slice(last),
      ...byTime.slice(-1),
    ].map(({ id }) => id),
  );
  const newestId = byTime.at(-1)?.id;
  const best = policy.monitor && bestOf(byStep, policy.monitor)?.id;
  return new Map(
    byStep.map((checkpoint) => {
      // Actions of the user first, then the rules.
      const reasons: KeepReason[] = [];
      const add = (kind: KeepReason['kind'], text: string) => reasons.push({ kind, text });
      if (checkpoint.pinned) add('pin', 'pinned');
      if (checkpoint.tags.length > 0) add('tag', `tagged ${checkpoint.tags.join(', ')}`);
      const need = needed.get(checkpoint.id);
      if (need) reasons.push(need);
      if (checkpoint.reasons.includes(MANUAL_REASON)) add('request', 'taken on request');
      if (checkpoint.keep) add('restored', 'brought back from the trash');
      if (checkpoint.id === best) add('best', `best ${policy.monitor!.metric}`);
      const trouble = troubleOf(checkpoint, policy.monitor);
      const diverged = trouble ? ` (${trouble})` : '';
      if (checkpoint.id === newestId) add('newest', `newest of its run${diverged}`);
      else if (newest.has(checkpoint.id)) add('last', `one of the last ${policy.last}${diverged}`);
      if (policy.every && checkpoint.step % policy.every === 0) add('every', `every ${policy.every} steps`);
      return [checkpoint.id, reasons];
    }),
  );
}

/** Finds the checkpoint with the best value of the metric, see `isBetter`; ignores diverged ones. */
export function bestOf(checkpoints: readonly Checkpoint[], monitor: Monitor): Checkpoint | undefined {
  let best: Checkpoint | undefined;
  let record: number | null = null;
  for (const checkpoint of checkpoints) {
    const wire = checkpoint.metrics[monitor.metric];
    const value = wire === undefined ? Number.NaN : fromWireNumber(wire);
    if (isDiverged(checkpoint, monitor) || !isBetter(monitor.mode, value, record)) continue;
    best = checkpoint;
    record = value;
  }
  return best;
}

/** Tells whether its state had diverged, or leads to trouble. */
export function isDiverged(
  checkpoint: Pick<Checkpoint, 'metrics' | 'reasons' | 'trouble'>,
  monitor: Monitor | null,
): boolean {
  return troubleOf(checkpoint, monitor) !== null;
}

/** Finds the checkpoint for a resume: the newest that has all that others have and has not diverged, or else the newest. */
export function newestGood(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Checkpoint | undefined {
  const byTime = [...checkpoints].sort(byAge);
  const sound = byTime.filter((checkpoint) => !isDiverged(checkpoint, monitor));
  // An incomplete sound state is worth more than a complete diverged one.
  return wholeOf(sound).at(-1) ?? sound.at(-1) ?? wholeOf(byTime).at(-1) ?? byTime.at(-1);
}

/** Returns the checkpoints that are newer, the oldest first. */
export function newerThan(checkpoints: readonly Checkpoint[], { id, ...than }: Checkpoint): Checkpoint[] {
  return checkpoints.filter((other) => other.id !== id && byAge(other, than) > 0).sort(byAge);
}

/** Makes the summary of the last checkpoint for a run's record. */
export function lastOf(checkpoints: readonly Checkpoint[], monitor: Monitor | null): Run['lastCheckpoint'] {
  const last = newestGood(checkpoints, monitor);
  return last ? { id: last.id, step: last.step, grade: last.grade } : null;
}

/** Returns a run's record with the count of its checkpoints, and the one that a resume continues from. */
export function recounted(run: Run, checkpoints: readonly Checkpoint[]): Run {
  return { ...run, checkpoints: checkpoints.length, lastCheckpoint: lastOf(checkpoints, run.monitor) };
}

/**
 * Drops checkpoints that hold less than others: those that lack a file of their series, and those without the optimizer's
 * state if others have it. A script that saves its best weights, samples or debris beside its checkpoints cannot resume from those.
 */
function wholeOf(checkpoints: readonly Checkpoint[]): Checkpoint[] {
  const complete = checkpoints.filter(hasAllParts);
  const withOptimizer = complete.filter(keepsOptimizer);
  return withOptimizer.length > 0 ? withOptimizer : complete;
}

function hasAllParts({ lacks }: Pick<Checkpoint, 'lacks'>): boolean {
  return !lacks?.length;
}

export function keepsOptimizer({ ingredients }: Pick<Checkpoint, 'ingredients'>): boolean {
  return ingredients?.some(({ kind, state }) => kind === 'optimizer' && state !== 'lost') ?? true;
}

/** Compares by age, then by step. */
function byAge(a: Pick<Checkpoint, 'createdAt' | 'step'>, b: Pick<Checkpoint, 'createdAt' | 'step'>): number {
  return a.createdAt - b.createdAt || a.step - b.step;
}
