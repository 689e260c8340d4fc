/** Decides about an automatic rollback: where a run goes back to, and with what. Pure. */
import type { Checkpoint, Params, Run, Session } from '../../../protocol/domain.ts';
import {
  changedParam,
  type Rollback,
  type RollbackPolicy,
  type Skip,
  type Trouble,
} from '../../../protocol/rollback.ts';
import type { ExitRecord, Launch } from '../../../protocol/session.ts';
import { counted, integer } from '../../../protocol/words.ts';
import { isDiverged, newestGood } from '../../store/maintenance/retention.ts';
import { shortValue } from '../naming.ts';

/** Errors that a rollback cannot mend: the same would happen again, before any step. */
const HOPELESS = new Set([
  'configInvalid',
  'moduleInvalid',
  'paramUnknown',
  'paramInvalid',
  'preflightDiffers',
  'stateMismatch',
]);

export interface EndOfSession {
  /** Run as its session has left it. */
  run: Run;
  session: Session;
  exit: ExitRecord | null;
  launch: Pick<Launch, 'rollback'>;
  /** All sessions that trained the run. */
  sessions: readonly Session[];
  /** Checkpoints of the run outside the trash, and the one that it was forked from. */
  checkpoints: readonly Checkpoint[];
  now: number;
}

export interface Decision {
  /** Null: from the beginning. */
  checkpoint: Checkpoint | null;
  rollback: Rollback;
  params: Params;
  overrides: string[];
  /** Checkpoint whose state led to trouble a second time. */
  suspect: Checkpoint | null;
  text: string;
}

/** Returns null if the job asks for no rollback here, and a sentence if it asks for one that cannot be done. */
export function decideRollback(end: EndOfSession): Decision | { refused: string } | null {
  const found = troubleOf(end);
  if (!found) return null;
  const { trouble, step, what, policy } = found;
  const { run, session, now } = end;
  const used = run.rolledBack ?? 0;
  const refuse = (why: string) => ({
    refused: `${what}. It was not rolled back: ${why}. Its checkpoints are kept; \`trainstash resume ${run.number}\` goes on from the newest good one.`,
  });
  if (used >= policy.times)
    return refuse(`it was rolled back ${counted(used, 'time')} already, and its job allows ${integer(policy.times)}`);
  const good = goodBefore(end, trouble === 'failure' ? Number.POSITIVE_INFINITY : step);
  const suspect = suspectOf(end, trouble, good);
  const checkpoint =
    newestGood(
      good.filter(({ id }) => id !== suspect?.id),
      run.monitor,
    ) ?? null;
  if (run.startsAnew && laterThan(end.checkpoints, checkpoint))
    return refuse(
      'its command does not say which checkpoint to load, so its script would find the newer ones. A job’s "resume" says it',
    );
  const changed = changedParams(run, policy);
  if (typeof changed === 'string') return refuse(changed);
  const skip = skipOf(policy, step, checkpoint?.step ?? 0);
  if (skip && !run.cooperative && Object.keys(changed).length === 0)
    return refuse('its script reads its data by itself, so no batches can be left out of them');
  const rollback: Rollback = {
    trouble,
    step,
    toStep: checkpoint?.step ?? null,
    session: session.id,
    set: changed as Rollback['set'],
    skip: run.cooperative ? skip : null,
    at: now,
  };
  const place = checkpoint
    ? `to step ${integer(checkpoint.step)}, its newest good checkpoint before that`
    : 'to the beginning, since it has no good checkpoint from before';
  const text = `${what}. It goes back ${place}${changesText(run.params, rollback)} (rollback ${used + 1} of ${policy.times}).${suspectText(suspect)}`;
  return {
    checkpoint,
    rollback,
    params: { ...run.params, ...changed },
    overrides: [...new Set([...run.overrides, ...Object.keys(changed)])],
    suspect,
    text,
  };
}

interface FoundTrouble {
  trouble: Trouble;
  step: number;
  what: string;
  policy: RollbackPolicy;
}

function troubleOf({ run, exit, launch }: EndOfSession): FoundTrouble | null {
  if (exit?.trouble && exit.outcome === 'paused') {
    const { code, step, what } = exit.trouble;
    const policy = launch.rollback[code];
    return policy ? { trouble: code, step, what, policy } : null;
  }
  const policy = launch.rollback.failure;
  if (!policy || run.status !== 'failed' || HOPELESS.has(exit?.error?.code ?? '')) return null;
  return {
    trouble: 'failure',
    step: run.step,
    what: `It failed at step ${integer(run.step)}: ${run.reason || 'no reason is known'}`,
    policy,
  };
}

/**
 * Lists the good checkpoints that this session's state descends from, and that were taken before the step. Those of an earlier session
 * count up to where the next one began.
 */
function goodBefore(
  { run, session, sessions, checkpoints }: Pick<EndOfSession, 'run' | 'session' | 'sessions' | 'checkpoints'>,
  step: number,
): Checkpoint[] {
  const byId = new Map(checkpoints.map((checkpoint) => [checkpoint.id, checkpoint]));
  const found = new Map<string, Checkpoint>();
  const seen = new Set<string>();
  let current: Session | undefined = session;
  let below = step;
  while (current && !seen.has(current.id)) {
    seen.add(current.id);
    for (const one of checkpoints) if (one.session === current.id && one.step < below) found.set(one.id, one);
    const from: Session['resumedFrom'] = current.resumedFrom;
    const origin: Checkpoint | undefined = from ? byId.get(from.checkpoint) : undefined;
    if (!from || !origin) break;
    if (origin.step < step) found.set(origin.id, origin);
    below = Math.min(below, from.step + 1);
    current = sessions.find(({ id }) => id === origin.session);
  }
  return [...found.values()].filter((one) => !isDiverged(one, run.monitor));
}

/** Finds the checkpoint that the run went back to before, if nothing good came of it: its own state may lead to the trouble. */
function suspectOf({ run, session }: EndOfSession, trouble: Trouble, good: readonly Checkpoint[]): Checkpoint | null {
  const last = run.rollbacks?.at(-1);
  const from = session.resumedFrom?.checkpoint;
  if (trouble === 'failure' || !last || !from || (run.rolledBack ?? 0) === 0) return null;
  const newest = newestGood(good, run.monitor);
  const hasOlder = good.some(({ id }) => id !== from);
  return newest?.id === from && hasOlder && last.toStep === newest.step ? newest : null;
}

function laterThan(checkpoints: readonly Checkpoint[], than: Checkpoint | null): boolean {
  return checkpoints.some(({ createdAt }) => createdAt > (than?.createdAt ?? 0));
}

/** Returns the params with their new values, or why they cannot be changed. */
function changedParams({ params }: Run, { then }: RollbackPolicy): Params | string {
  const changed: Params = {};
  for (const [name, by] of Object.entries(then)) {
    if (!(name in params)) {
      const known = Object.keys(params);
      return `"then" names the param "${name}", which it does not have${known.length > 0 ? ` (it has ${known.join(', ')})` : ''}`;
    }
    const value = changedParam(params[name], by);
    if (value === null)
      return `"then" changes the param "${name}" by ${by}, and it is ${shortValue(params[name]!)}, which is no number`;
    changed[name] = value;
  }
  return changed;
}

function skipOf({ skip }: RollbackPolicy, step: number, from: number): Skip | null {
  if (skip === undefined) return null;
  return skip === 'seen' ? { count: Math.max(1, step - from), unit: 'steps' } : { count: skip, unit: 'batches' };
}

function changesText(before: Params, { set, skip }: Rollback): string {
  const params = Object.entries(set).map(
    ([name, value]) => `${name} ${shortValue(value)} instead of ${shortValue(before[name]!)}`,
  );
  const left = skip
    ? [
        skip.unit === 'steps'
          ? `without the batches of the next ${counted(skip.count, 'step')}`
          : `without the next ${skip.count === 1 ? 'batch' : counted(skip.count, 'batch', 'batches')}`,
      ]
    : [];
  const all = [...(params.length > 0 ? [`with ${params.join(', ')}`] : []), ...left];
  return all.length > 0 ? `, ${all.join(', ')}` : '';
}

function suspectText(suspect: Checkpoint | null): string {
  return suspect
    ? ` The one at step ${integer(suspect.step)} led to trouble again at once, so it no longer counts as good.`
    : '';
}
