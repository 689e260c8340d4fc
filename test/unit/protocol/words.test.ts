/** Numbers and names for people. */
import { expect, test } from 'vitest';
import { nearest } from '../../../protocol/nearest.ts';
import { compareBuilds } from '../../../protocol/version.ts';
import { age, bytes, duration, metric } from '../../../protocol/words.ts';

test('mistyped names find the nearest, and nothing when none is near', () => {
  expect(nearest('digts', ['digits', 'train'])).toBe('digits');
  expect(nearest('resmue', ['resume', 'rename', 'rm'])).toBe('resume');
  expect(nearest('quux', ['digits', 'train'])).toBeUndefined();
  expect(nearest('hlep', ['keep', 'help'])).toBe('help');
  expect(nearest('-v', ['ls', 'rm'])).toBeUndefined();
  expect(nearest('x', ['ls', 'rm'])).toBeUndefined();
});

test('builds are ordered by version, then by when they were made', () => {
  expect(compareBuilds({ version: '0.10.0', builtAt: 1 }, { version: '0.9.0', builtAt: 2 })).toBeGreaterThan(0);
  expect(compareBuilds({ version: '1.0.0', builtAt: 1 }, { version: '1.0.0', builtAt: 2 })).toBeLessThan(0);
});

test('numbers, sizes and times are short and exact enough', () => {
  expect([bytes(999), bytes(1_500), bytes(12_340_000_000)]).toEqual(['999 B', '1.5 kB', '12.3 GB']);
  expect([metric(0.123456), metric(Number.NaN), metric(1.5e-7), metric(Number.NEGATIVE_INFINITY)]).toEqual([
    '0.1235',
    'NaN',
    '1.50e-7',
    '-∞',
  ]);
  expect([duration(42), duration(600), duration(7_200), age(0, 86_400_000 * 3)]).toEqual([
    '42 s',
    '10 min',
    '2.0 h',
    '3 days ago',
  ]);
});
