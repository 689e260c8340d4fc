/** Labels of runs, and policies as they are written. */
import { expect, test } from 'vitest';
import { checkpointPolicy } from '../../../../daemon/runs/config.ts';
import { labelOf, shortValue } from '../../../../daemon/runs/naming.ts';

test('a label says what differs from the run before', () => {
  expect(labelOf({ lr: 0.0003, units: 64 }, { lr: 0.001, units: 64 })).toBe('lr 0.0003');
  expect(labelOf({ lr: 0.00003 }, { lr: 0.001 })).toBe('lr 3e-5');
  expect(labelOf({ a: 1 }, undefined)).toBe('');
  expect(shortValue('x'.repeat(50))).toHaveLength(24);
});

test('checkpoint intervals are read as written', () => {
  expect(checkpointPolicy({ checkpoint: {} })).toMatchObject({
    everySeconds: 300,
    everySteps: null,
    everyEpochs: 1,
    onBest: true,
    share: 0.02,
  });
  expect(checkpointPolicy({ checkpoint: { every: '1.5h, 500 steps,2 epochs', best: false } })).toEqual({
    everySeconds: 5400,
    everySteps: 500,
    everyEpochs: 2,
    onBest: false,
  });
});
