/** Decisions about rollbacks, without a process. */
import { describe, expect, test } from 'vitest';
import { decideRollback, type EndOfSession } from '../../../../daemon/runs/live/rollback.ts';
import { newRun } from '../../../../daemon/runs/records.ts';
import { keptBecause, newestGood } from '../../../../daemon/store/maintenance/retention.ts';
import type { Checkpoint, Run, Session } from '../../../../protocol/domain.ts';
import { changedParam, type RollbackPolicy } from '../../../../protocol/rollback.ts';
import type { ExitRecord } from '../../../../protocol/session.ts';
import { DivergenceWatch } from '../../../../session/divergence.ts';

const IDENTITY = { branch: null, commit: null, dirty: false, code: null, codeLeftOut: [] };
const POLICY: RollbackPolicy = { do: 'rollback', to: 'last-good', then: { lr: '*0.5' }, times: 3 };
const FACTS = { job: 'train', overrides: [], seed: 0, backend: '', identity: IDENTITY, restarts: 0 };

let clock = 0;
const checkpoint = (session: string, step: number, more: Partial<Checkpoint> = {}): Checkpoint =>
  ({
    id: `${session}-${step}`,
    session,
    step,
    createdAt: ++clock,
    metrics: { loss: 1 },
    reasons: ['steps'],
    tags: [],
    lacks: [],
    trashedAt: null,
    ...more,
  }) as Checkpoint;
const session = (id: string, from: Checkpoint | null = null): Session =>
  ({ id, resumedFrom: from && { checkpoint: from.id, step: from.step } }) as Session;
const nanAt = (step: number): ExitRecord => ({
  outcome: 'paused',
  step,
  at: 0,
  reason: '',
  error: null,
  trouble: { code: 'nan', step, what: `loss was NaN at step ${step}` },
});
const runOf = (more: Partial<Run> = {}): Run => ({
  ...newRun({ ...FACTS, params: { lr: 0.1 } }),
  number: 7,
  status: 'paused',
  ...more,
});

function decide(more: Partial<EndOfSession> & Pick<EndOfSession, 'sessions' | 'checkpoints'>) {
  const decision = decideRollback({
    run: runOf(),
    session: more.sessions.at(-1)!,
    exit: nanAt(60),
    launch: { rollback: { nan: POLICY } },
    now: 0,
    ...more,
  });
  return decision as Exclude<typeof decision, null>;
}

describe('a rollback', () => {
  test('goes to the newest good checkpoint before the trouble, of the states that the session descends from', () => {
    const a = [10, 20, 30, 40, 50].map((step) => checkpoint('a', step));
    // Somebody has resumed from step 20 since: what came after it is another training.
    const b = [checkpoint('b', 25), checkpoint('b', 60, { metrics: { loss: 'NaN' } })];
    const sessions = [session('a'), session('b', a[1])];
    expect(decide({ sessions, checkpoints: [...a, ...b] })).toMatchObject({ checkpoint: { id: 'b-25' } });
    expect(decide({ sessions, checkpoints: a })).toMatchObject({ checkpoint: { id: 'a-20' } });
    expect(decide({ sessions, checkpoints: a, exit: nanAt(15) })).toMatchObject({ checkpoint: { id: 'a-10' } });
    expect(decide({ sessions, checkpoints: [] })).toMatchObject({ checkpoint: null, rollback: { toStep: null } });
  });

  test('never goes to a diverged checkpoint, and to the parent’s of a fork that has none', () => {
    const parent = checkpoint('p', 40);
    const bad = checkpoint('a', 50, { metrics: { loss: 'Infinity' } });
    const sessions = [session('a', parent)];
    expect(decide({ sessions, checkpoints: [parent, bad] })).toMatchObject({ checkpoint: { id: 'p-40' } });
    expect(decide({ sessions: [session('a')], checkpoints: [bad] })).toMatchObject({ checkpoint: null });
  });

  test('suspects a checkpoint that led to trouble at once, and goes further back', () => {
    const a = [30, 40, 50].map((step) => checkpoint('a', step));
    const sessions = [session('a'), session('b', a[2])];
    const before = { trouble: 'nan', step: 60, toStep: 50, session: 'a', set: {}, skip: null, at: 0 } as const;
    const run = runOf({ rollbacks: [before], rolledBack: 1 });
    const again = decide({ run, sessions, checkpoints: a });
    expect(again).toMatchObject({ checkpoint: { id: 'a-40' }, suspect: { id: 'a-50' } });
    // Something good has come of it.
    const better = [...a, checkpoint('b', 55)];
    expect(decide({ run, sessions, checkpoints: better })).toMatchObject({ checkpoint: { id: 'b-55' }, suspect: null });
    // There is nothing before it.
    const only = [a[2]!];
    expect(decide({ run, sessions, checkpoints: only })).toMatchObject({ checkpoint: { id: 'a-50' }, suspect: null });
  });

  test('is not done where nobody asked for it', () => {
    const sessions = [session('a')];
    const checkpoints = [checkpoint('a', 10)];
    expect(decide({ sessions, checkpoints, launch: { rollback: {} } })).toBeNull();
    expect(decide({ sessions, checkpoints, exit: { ...nanAt(60), trouble: null } })).toBeNull();
    expect(decide({ sessions, checkpoints, exit: null })).toBeNull();
    const failed = { ...nanAt(60), outcome: 'failed' as const, trouble: null };
    const hopeless = { ...failed, error: { code: 'stateMismatch', message: '', data: null } };
    const launch = { rollback: { failure: POLICY } };
    const run = runOf({ status: 'failed', reason: 'exit status 1' });
    expect(decide({ run, sessions, checkpoints, exit: hopeless, launch })).toBeNull();
    expect(decide({ run, sessions, checkpoints, exit: failed, launch })).toMatchObject({ checkpoint: { id: 'a-10' } });
  });

  test('ends with a sentence after the allowed number, and for params that cannot be changed so', () => {
    const sessions = [session('a')];
    const checkpoints = [checkpoint('a', 10)];
    expect(decide({ run: runOf({ rolledBack: 3 }), sessions, checkpoints })).toEqual({
      refused:
        'loss was NaN at step 60. It was not rolled back: it was rolled back 3 times already, and its job allows 3. Its checkpoints are kept; `trainstash resume 7` goes on from the newest good one.',
    });
    for (const params of [{}, { lr: 'high' }] as Run['params'][])
      expect(decide({ run: runOf({ params }), sessions, checkpoints })).toMatchObject({
        refused: expect.stringMatching(/which it does not have|which is no number/),
      });
  });
});

test('a checkpoint that was found to lead to trouble is no target and displaces no good one', () => {
  const marked = [
    checkpoint('a', 10),
    checkpoint('a', 20),
    checkpoint('a', 30, { trouble: 'nan' }),
    checkpoint('a', 40, { reasons: ['spike'] }),
  ];
  expect(newestGood(marked, null)?.step).toBe(20);
  const kept = keptBecause(marked, { last: 1, every: null, monitor: null }, new Map());
  expect([...kept].filter(([, reasons]) => reasons.length > 0).map(([id]) => id)).toEqual(['a-20', 'a-40']);
});

test('a spike right after a resume is found by the values from before its checkpoint', () => {
  const recent = { loss: Array.from({ length: 60 }, (_, i) => 1 + (i % 5) / 100), val: [1] };
  const launch = {
    monitor: { metric: 'val', mode: 'min' as const },
    onNaN: 'ignore',
    onSpike: 'pause',
    recent,
  } as const;
  expect(new DivergenceWatch(launch, []).look(61, { loss: 50 })).toMatchObject({ code: 'spike', pauses: true });
  expect(new DivergenceWatch({ ...launch, recent: {} }, []).look(61, { loss: 50 })).toBeNull();
  // The trainer's own memory counts more.
  expect(new DivergenceWatch(launch, [1]).look(61, { loss: 50 })).toBeNull();
});

test('a param changes by a factor or an amount, or to another value', () => {
  expect(changedParam(0.1, '*0.5')).toBe(0.05);
  expect(changedParam(0.3, '/3')).toBe(0.1);
  expect(changedParam(0.1, '+0.2')).toBe(0.3);
  expect(changedParam('8', '-3')).toBe(5);
  expect(changedParam(0.1, '1e-4')).toBe('1e-4');
  expect(changedParam(undefined, 3)).toBe(3);
  for (const value of [undefined, 'adam', null, true, Number.NaN]) expect(changedParam(value, '*2')).toBeNull();
  expect(changedParam(1e308, '*1e10')).toBeNull();
  expect(changedParam(1, '/0')).toBeNull();
});
