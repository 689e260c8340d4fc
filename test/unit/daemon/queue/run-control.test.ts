/** Options that say when and where a run goes, and places in the queue. */
import { expect, test } from 'vitest';
import { UsageError } from '../../../../cli/arguments.ts';
import { parseGpu, parsePriority, parseTime } from '../../../../cli/control.ts';
import { byTurn, holdOf, type Ticket } from '../../../../daemon/devices/turn.ts';
import { newPlace } from '../../../../daemon/queue/reorder.ts';
import { Generator } from '../../../support/generator.ts';

test('GPUs are a number, indices or shared, and nothing else', () => {
  expect([
    parseGpu('2'),
    parseGpu('0'),
    parseGpu('[0]'),
    parseGpu('0,3'),
    parseGpu('[1, 2]'),
    parseGpu('shared'),
  ]).toEqual([2, 0, [0], [0, 3], [1, 2], 'shared']);
  for (const text of ['', '-1', '1.5', 'all', '0,0', '[', '[]', '[a]', '0,', '99', '0;1', '1 2'])
    expect(() => parseGpu(text), text).toThrow(UsageError);
  for (const text of ['', 'high', '1e3', '1000', '--1']) expect(() => parsePriority(text), text).toThrow(UsageError);
});

test('a time without a day is the next such time, also over midnight', () => {
  const evening = new Date(2026, 10, 29, 21, 30);
  expect(new Date(parseTime('22:00', evening))).toEqual(new Date(2026, 10, 29, 22, 0));
  expect(new Date(parseTime('7:05', evening))).toEqual(new Date(2026, 10, 30, 7, 5));
  expect(new Date(parseTime('21:30', evening))).toEqual(new Date(2026, 10, 30, 21, 30));
  expect(new Date(parseTime('2030-01-31T22:00', evening))).toEqual(new Date(2030, 0, 31, 22, 0));
  for (const text of ['', '24:00', '12:60', '22', 'tomorrow', '2030-13-01T00:00', '10pm'])
    expect(() => parseTime(text, evening), text).toThrow(UsageError);
});

const ticket = (at: number, more: Partial<Ticket> = {}): Ticket => ({
  at,
  priority: 0,
  urgent: false,
  paused: false,
  after: null,
  notBefore: null,
  interruptedFor: null,
  ...more,
});

test('a run that is moved is where it was moved to, whatever the priorities, and never before an urgent one', () => {
  const random = new Generator(7);
  for (let round = 0; round < 500; round++) {
    const others = Array.from({ length: 1 + random.below(6) }, (_, i) =>
      ticket(i, { priority: random.below(3) - 1, urgent: random.below(5) === 0 }),
    );
    const line = [...others].sort(byTurn);
    const plain = line.filter(({ urgent }) => !urgent);
    for (const where of ['first', 'last', ...plain] as const) {
      const moved = ticket(0, newPlace(others, where));
      const order = [...others, moved].sort(byTurn).filter(({ urgent }) => !urgent);
      const place = order.indexOf(moved);
      expect(place).toBe(where === 'first' ? 0 : where === 'last' ? plain.length : plain.indexOf(where));
    }
  }
});

test('an interrupted run waits for the urgent one even while the queue is paused for others', () => {
  const others = { now: 0, isQueuePaused: true, after: undefined, urgent: undefined };
  const interrupted = ticket(1, { interruptedFor: 'u' });
  expect(holdOf(interrupted, { ...others, urgent: { name: 'fix #2', number: 2 } as never })).toMatchObject({
    for: 'run',
    behind: 2,
  });
  expect(holdOf(interrupted, { ...others, isQueuePaused: false })).toBe(null);
  expect(holdOf(ticket(1), others)).toMatchObject({ for: 'request' });
  expect(holdOf(ticket(1, { after: 'gone' }), { ...others, isQueuePaused: false })?.text).toContain('--after none');
});
