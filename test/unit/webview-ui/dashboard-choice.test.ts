/** Runs whose curves a dashboard shows without being asked. */
import { expect, test } from 'vitest';
import type { RunRow } from '../../../webview-ui/contract.ts';
import { choose, chosenOf, firstChoice } from '../../../webview-ui/dashboard/choice.ts';

const row = (number: number, more: Partial<RunRow> = {}): RunRow =>
  ({ id: `r${number}`, number, live: false, metrics: { loss: { last: 1, best: null } }, ...more }) as RunRow;
const many = (...rows: RunRow[]) => new Map(rows.map((one) => [one.id, one]));

test('live runs and the five newest are chosen, the newest last, and none without curves', () => {
  const rows = [
    row(1, { live: true }),
    row(2),
    ...[3, 4, 5, 6, 7].map((number) => row(number)),
    row(8, { metrics: {} }),
  ];
  expect(firstChoice(rows).ids).toEqual(['r1', 'r3', 'r4', 'r5', 'r6', 'r7']);
  expect(chosenOf(null, many(...rows))).toEqual(['r1', 'r3', 'r4', 'r5', 'r6', 'r7']);
  expect(chosenOf(null, new Map())).toEqual([]);
});

test('a run that starts later joins behind the others once it has curves', () => {
  const before = many(row(1), row(2));
  const choice = choose(['r2'], before);
  expect(chosenOf(choice, before)).toEqual(['r2']);
  const starting = row(3, { live: true, metrics: {} });
  expect(chosenOf(choice, many(row(1), row(2), starting))).toEqual(['r2']);
  expect(chosenOf(choice, many(row(1), row(2), row(3)))).toEqual(['r2', 'r3']);
  // A click while it starts does not shut it out.
  const clicked = choose(['r1'], many(row(1), row(2), starting));
  expect(chosenOf(clicked, many(row(1), row(2), row(3)))).toEqual(['r1', 'r3']);
  // One that was taken out stays out.
  expect(chosenOf(choose(['r2'], many(row(1), row(2), row(3))), many(row(1), row(2), row(3)))).toEqual(['r2']);
});

test('a run that is taken out stays out, also while an older one has no curves yet', () => {
  const silent = row(2, { live: true, metrics: {} });
  const choice = choose(['r1'], many(row(1), silent, row(3)));
  expect(chosenOf(choice, many(row(1), silent, row(3)))).toEqual(['r1']);
  expect(chosenOf(choice, many(row(1), row(2), row(3), row(4)))).toEqual(['r1', 'r2', 'r4']);
  expect(chosenOf(choose([], many(row(1), silent, row(3))), many(row(1), silent, row(3)))).toEqual([]);
});

test('pinned runs come first and stay, whatever else is chosen', () => {
  const rows = many(row(1), row(2), row(3));
  expect(chosenOf(choose([], rows), rows, ['r2', 'gone'])).toEqual(['r2']);
  expect(chosenOf(choose(['r1', 'r2'], rows), rows, ['r2'])).toEqual(['r2', 'r1']);
  const thirty = many(...Array.from({ length: 30 }, (_, i) => row(i + 1)));
  const chosen = chosenOf({ ids: [], upTo: 0, waited: [] }, thirty, ['r1']);
  expect([chosen.length, chosen[0], chosen.at(-1)]).toEqual([20, 'r1', 'r30']);
});

test('at most twenty runs are chosen, and those that are gone are not', () => {
  const rows = many(...Array.from({ length: 30 }, (_, i) => row(i + 1)));
  expect(chosenOf({ ids: ['gone', 'r1'], upTo: 1, waited: [] }, rows)).toHaveLength(20);
  expect(chosenOf({ ids: ['gone', 'r1'], upTo: 30, waited: [] }, rows)).toEqual(['r1']);
});
