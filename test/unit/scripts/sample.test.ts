/** The share of cases that runs by default: as many as asked for, of each kind one, and of a kind's tests the one whose turn it is. */
import { expect, test } from 'vitest';
import { FULL, hasTurn, sample, sampleOfEach } from '../../support/sample.ts';

test.skipIf(FULL)('a sample has as many cases as asked for, in their order', () => {
  const cases = Array.from({ length: 20 }, (_, i) => i);
  for (let round = 0; round < 50; round++) {
    const drawn = sample(cases, 3);
    expect(new Set(drawn).size).toBe(3);
    expect(drawn).toEqual([...drawn].sort((a, b) => a - b));
  }
  expect(new Set(Array.from({ length: 500 }, () => sample(cases)[0])).size).toBe(20);
  expect(sample(cases.slice(0, 2), 3)).toEqual([0, 1]);
});

test.skipIf(FULL)('each kind is in a sample of each, once', () => {
  const words = ['aa', 'ab', 'ba', 'ca', 'cb', 'cc'];
  expect(sampleOfEach(words, (word) => word[0]).map((word) => word[0])).toEqual(['a', 'b', 'c']);
});

test.skipIf(FULL)('one test of a kind has its turn', () => {
  for (const kind of ['dashboard', 'trust', 'branches', 'elsewhere'])
    expect([0, 1, 2].filter((turn) => hasTurn(kind, turn, 3))).toHaveLength(1);
});
