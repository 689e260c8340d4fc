/** The benchmarks' report: numbers of different days stand side by side, each with its day. */
import { expect, test } from 'vitest';
import { merged } from './report.ts';

const number = (name: string, value: number, measured?: string) => ({
  name,
  value,
  unit: 'ms',
  goal: {},
  ...(measured === undefined ? {} : { measured }),
});

test('numbers that were not measured today keep their day', () => {
  const before = [number('store.ingest', 1), number('store.restore', 2, '2026-01-01'), number('diff.equal', 3)];
  const rows = merged([number('diff.equal', 9)], before, '2026-02-02', '2026-03-03');
  expect(rows).toEqual([
    number('store.ingest', 1, '2026-02-02'),
    number('store.restore', 2, '2026-01-01'),
    number('diff.equal', 9),
  ]);
});

test('two runs of one day are one', () => {
  const rows = merged([number('diff.equal', 9)], [number('store.ingest', 1)], '2026-03-03', '2026-03-03');
  expect(rows).toEqual([number('store.ingest', 1), number('diff.equal', 9)]);
});

test('a number that no benchmark gives any more is left out', () => {
  const rows = merged([number('diff.equal', 9)], [number('store.of-old', 1)], '2026-02-02', '2026-03-03');
  expect(rows.map(({ name }) => name)).toEqual(['diff.equal']);
});
