/** Tests of where a launch goes, and of the options that it may have there. */
import { expect, test } from 'vitest';
import { destinationOf } from '../../../../daemon/runs/engines/destination.ts';

test('a launch goes where the request says, then where its job says, else it stays here', () => {
  expect(destinationOf({}, undefined)).toBeNull();
  expect(destinationOf({}, 'cluster')).toBe('cluster');
  expect(destinationOf({ engine: 'box' }, 'cluster')).toBe('box');
  expect(destinationOf({ engine: 'here' }, 'cluster')).toBeNull();
  expect(destinationOf({ engine: 'here', after: '3', gpu: 1, nodes: 1 }, 'cluster')).toBeNull();
});

test.each([
  [{ after: '3' }, '--after'],
  [{ at: 5 }, '--at'],
  [{ priority: 0 }, '--priority'],
  [{ gpu: 0 }, '--gpu'],
  [{ urgent: 'wait' as const }, '--urgent'],
])('an engine does not take %j silently', (options, name) => {
  expect(() => destinationOf(options, 'cluster')).toThrow(
    `cluster cannot be used: ${name} is about the devices and the queue of this machine`,
  );
});

test('several nodes on this machine are refused', () => {
  expect(() => destinationOf({ nodes: 2 }, undefined)).toThrow('--on ENGINE');
});
