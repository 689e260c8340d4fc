import { expect, test } from 'vitest';
import { inspectFlags } from '../../../base/inspect.ts';

test('only a port that a user may open lets a debugger in', () => {
  expect(inspectFlags(0, { TRAINSTASH_INSPECT: '9230' })).toEqual(['--inspect=127.0.0.1:9230']);
  expect(inspectFlags(1, { TRAINSTASH_INSPECT: '9230' })).toEqual(['--inspect=127.0.0.1:9231']);
  for (const value of [
    undefined,
    '',
    '0',
    '80',
    '1e9',
    '65536',
    '127.0.0.1:9230',
    '0.0.0.0:9230',
    '9230.5',
    'yes',
    '-9230',
  ])
    expect(inspectFlags(0, { TRAINSTASH_INSPECT: value }), String(value)).toEqual([]);
  expect(inspectFlags(1, { TRAINSTASH_INSPECT: '65535' })).toEqual([]);
});
