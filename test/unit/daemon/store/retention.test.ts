/** Kept checkpoints, and from which one a run goes on. */
import { expect, test } from 'vitest';
import { bestOf, keptBecause, newestGood } from '../../../../daemon/store/maintenance/retention.ts';
import type { Checkpoint } from '../../../../protocol/domain.ts';
import { kept as keptPart, lost } from '../../../../protocol/ingredients.ts';

const checkpoint = (step: number, rest: Partial<Checkpoint> = {}): Checkpoint => ({
  id: `c${step}`,
  run: 'r',
  session: 's',
  step,
  epoch: 0,
  createdAt: step,
  bytes: 1,
  storedBytes: 1,
  reasons: ['steps'],
  tags: [],
  grade: 'complete',
  missing: [],
  proof: null,
  stateDigest: '',
  parent: null,
  metrics: {},
  trashedAt: null,
  ...rest,
});

test('a file without the optimizer’s state beside files that have it is not resumed from, and takes the place of none', () => {
  const full = { ingredients: [keptPart('weights', 'weights'), keptPart('optimizer', 'optimizer')] };
  const weights = { ingredients: [keptPart('weights', 'weights'), lost('optimizer', 'optimizer', null)] };
  const list = [
    checkpoint(10, full),
    checkpoint(20, full),
    ...[30, 40, 50, 60].map((step) => checkpoint(step, weights)),
  ];
  expect(newestGood(list, null)?.id).toBe('c20');
  const reasons = keptBecause(list, { last: 2, every: null, monitor: null }, new Map());
  expect([...reasons].filter(([, why]) => why.length > 0).map(([id]) => id)).toEqual(['c10', 'c20', 'c50', 'c60']);
  // Where none has it, or nobody has looked, the newest is the newest.
  expect(newestGood(list.slice(2), null)?.id).toBe('c60');
  expect(newestGood([checkpoint(10), checkpoint(20)], null)?.id).toBe('c20');
  // Half of a sound state is worth more than all of a diverged one.
  const diverged = { ...full, metrics: { loss: 'NaN' as const } };
  expect(newestGood([checkpoint(10, weights), checkpoint(20, diverged)], null)?.id).toBe('c10');
});

test('retention keeps the newest, the best, every nth, tags, requests and what is needed; the rest may go', () => {
  const list = [
    checkpoint(10, { metrics: { val_loss: 0.5 } }),
    checkpoint(20, { metrics: { val_loss: 0.1 } }),
    checkpoint(30, { tags: ['paper'] }),
    checkpoint(40, { reasons: ['request'] }),
    checkpoint(50),
    checkpoint(60),
    checkpoint(70),
  ];
  const kept = keptBecause(
    list,
    { last: 1, every: 25, monitor: { metric: 'val_loss', mode: 'min' } },
    new Map([['c60', { kind: 'fork', text: 'a fork starts from it' }]]),
  );
  const gone = [...kept].filter(([, reasons]) => reasons.length === 0).map(([id]) => id);
  expect(gone).toEqual(['c10']);
  expect(kept.get('c20')).toEqual([{ kind: 'best', text: 'best val_loss' }]);
  expect(kept.get('c50')).toEqual([{ kind: 'every', text: 'every 25 steps' }]);
  expect(kept.get('c70')).toEqual([{ kind: 'newest', text: 'newest of its run' }]);
});

test('the best checkpoint ignores NaN and prefers the earlier of equals', () => {
  const list = [
    checkpoint(1, { metrics: { a: 'NaN' } }),
    checkpoint(2, { metrics: { a: 3 } }),
    checkpoint(3, { metrics: { a: 3 } }),
  ];
  expect(bestOf(list, { metric: 'a', mode: 'max' })?.id).toBe('c2');
  expect(bestOf(list, { metric: 'b', mode: 'max' })).toBeUndefined();
});
