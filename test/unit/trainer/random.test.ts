/** Random numbers and the order of an epoch. */
import { expect, test } from 'vitest';
import { permutation, Random } from '../../../trainer/random.ts';

test('the random state can be kept and put back', () => {
  const random = Random.seeded(1, 2);
  random.float();
  const { state } = random;
  const next = [random.float(), random.float()];
  random.state = state;
  expect([random.float(), random.float()]).toEqual(next);
  expect(Random.seeded(1, 3).float()).not.toBe(Random.seeded(1, 2).float());
  const mean = Array.from({ length: 10_000 }, () => random.float()).reduce((a, b) => a + b, 0) / 10_000;
  expect(mean).toBeGreaterThan(0.48);
  expect(mean).toBeLessThan(0.52);
});

test('the order of an epoch depends on seed and epoch alone and holds every sample once', () => {
  expect(permutation(50, 7, 3)).toEqual(permutation(50, 7, 3));
  expect(permutation(50, 7, 3)).not.toEqual(permutation(50, 7, 4));
  expect([...permutation(50, 7, 3)].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i));
});
