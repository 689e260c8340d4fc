/** Curves with fewer points. */
import { expect, test } from 'vitest';
import { downsample, summarize } from '../../../../daemon/store/catalog/points.ts';

test('down-sampling keeps each bucket’s smallest and largest value, and that there was a NaN', () => {
  const count = 10_000;
  const values = Float64Array.from({ length: count }, (_, i) => Math.sin(i / 50));
  values[5_000] = 99;
  values[7_000] = Number.NaN;
  const steps = Float64Array.from({ length: count }, (_, i) => i);
  const less = downsample({ steps, values, times: steps }, 100);
  expect(less.steps.length).toBeLessThanOrEqual(200);
  expect([...less.values]).toContain(99);
  expect([...less.values].some(Number.isNaN)).toBe(true);
  expect([...less.steps]).toEqual([...less.steps].sort((a, b) => a - b));
  expect(summarize({ steps, values, times: steps })).toMatchObject({ max: 99, maxStep: 5_000, count });
});
