/** Restarts of live runs, and the time that they have left. */
import { expect, test } from 'vitest';
import { etaSeconds } from '../../../../daemon/runs/live/eta.ts';
import { nextRestart } from '../../../../daemon/runs/live/restart.ts';

test('restarts: in a row only so often, never after a reboot or for what would fail again', () => {
  const crash = { kind: 'lost' as const, code: null, rebooted: false, progressed: false };
  expect(nextRestart({ max: 0, used: 0 }, crash)).toEqual({ refused: '' });
  expect(nextRestart({ max: 2, used: 1 }, crash)).toEqual({ delayMs: 2_000, policy: { max: 2, used: 2 } });
  expect(nextRestart({ max: 2, used: 2 }, crash)).toHaveProperty('refused');
  expect(nextRestart({ max: 2, used: 2 }, { ...crash, progressed: true })).toMatchObject({ policy: { used: 1 } });
  expect(nextRestart({ max: 2, used: 0 }, { ...crash, rebooted: true })).toHaveProperty('refused');
  expect(nextRestart({ max: 2, used: 0 }, { ...crash, kind: 'failed', code: 'moduleInvalid' })).toHaveProperty(
    'refused',
  );
});

test('time left comes from this session’s pace, not from the run’s whole age', () => {
  expect(etaSeconds({ startStep: 900, startedAt: 0 }, 910, 10_000, 1_000)).toBe(90);
  expect(etaSeconds({ startStep: 900, startedAt: 0 }, 901, 10_000, 1_000)).toBeNull();
  expect(etaSeconds({ startStep: 0, startedAt: 0 }, 10, 10_000, null)).toBeNull();
});

test('a clock that jumped back gives no time left instead of a wrong one', () => {
  expect(etaSeconds({ startStep: 0, startedAt: 2_000_000 }, 10, 1_000_000, 100)).toBeNull();
});
