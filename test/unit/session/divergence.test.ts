/** Spikes and NaN. */
import { expect, test } from 'vitest';
import { judge } from '../../../session/divergence.ts';

test('a spike is far above the recent losses; noise is not', () => {
  const recent: number[] = [];
  for (let i = 0; i < 80; i++) expect(judge(1 + (i % 5) * 0.05, recent)).toBe('fine');
  expect(judge(1.4, recent)).toBe('fine');
  expect(judge(5, recent)).toBe('spike');
  expect(judge(Number.NaN, recent)).toBe('nan');
});
