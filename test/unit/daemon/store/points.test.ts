/** Points reported in any order: the resulting curve, whichever way it is read. */
import { beforeEach, describe, expect, test } from 'vitest';
import { Catalog } from '../../../../daemon/store/catalog/catalog.ts';
import { openCatalog } from '../../../../daemon/store/catalog/catalog-schema.ts';
import { Metrics, type Segment } from '../../../../daemon/store/catalog/metrics.ts';
import { inOrder, type Points, summarize, withSummary } from '../../../../daemon/store/catalog/points.ts';
import { toWireNumber } from '../../../../protocol/numbers.ts';
import { Random } from '../../../../trainer/random.ts';
import { afterwards } from '../../../support/cleanup.ts';
import { temporaryFolder } from '../../../support/folder.ts';

type Told = [step: number, value: number];

const points = (told: readonly Told[]): Points => ({
  steps: Float64Array.from(told, ([step]) => step),
  values: Float64Array.from(told, ([, value]) => value),
  times: Float64Array.from(told, (_, i) => i),
});
const pairs = ({ steps, values }: Points): Told[] => [...steps].map((step, i) => [step, values[i]!]);
const EVERYTHING = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY };

describe('in order of steps', () => {
  test('evaluations of earlier steps stand where they belong; of a step told again the newest telling counts', () => {
    const eager: Told[] = [
      [10, 1],
      [20, 2],
      [30, 3],
    ];
    expect(pairs(inOrder([points(eager)]))).toEqual(eager);
    expect(pairs(inOrder([points([...eager, [20, 7], [5, 8], [20, 9]])]))).toEqual([
      [5, 8],
      [10, 1],
      [20, 9],
      [30, 3],
    ]);
  });

  test('what is told of one step without another in between stays, as where nothing counts steps', () => {
    const stepless: Told[] = [
      [0, 5],
      [0, 4],
      [0, 3],
    ];
    expect(pairs(inOrder([points(stepless)]))).toEqual(stepless);
    // A value reported before no longer counts.
    expect(pairs(inOrder([points([[0, 9], [1, 8], ...stepless])]))).toEqual([...stepless, [1, 8]]);
  });

  test('of a step that two sessions tell, the later one counts, also where they meet', () => {
    const first: Told[] = [
      [1, 1],
      [2, 2],
      [3, 3],
    ];
    const second: Told[] = [
      [3, 30],
      [4, 40],
      [1, 10],
    ];
    expect(pairs(inOrder([points(first), points([]), points(second)]))).toEqual([
      [1, 10],
      [2, 2],
      [3, 30],
      [4, 40],
    ]);
  });
});

describe('a curve', () => {
  let metrics: Metrics;
  let catalog: Catalog;
  beforeEach(() => {
    const database = openCatalog(`${temporaryFolder()}/catalog.db`);
    afterwards(() => database.close());
    catalog = new Catalog(database);
    metrics = new Metrics(catalog);
  });

  test('is what was told last of each step, whatever the order, the pieces and the resumes', () => {
    const random = Random.seeded(7, 3);
    const below = (limit: number) => Math.floor(random.float() * limit);
    for (let round = 0; round < 60; round++) {
      const expected = new Map<number, number>();
      const segments: Segment[] = [];
      let value = 0;
      let to = 0;
      for (let session = 0; session <= below(4); session++) {
        const id = `${round}-${session}`;
        const from = session === 0 ? 0 : below(to + 1);
        for (const segment of segments) segment.to = Math.min(segment.to, from);
        for (const step of [...expected.keys()]) if (step > from) expected.delete(step);
        segments.push({ session: id, to: Number.POSITIVE_INFINITY });
        const told: Told[] = [];
        to = from + 1 + below(40);
        for (let step = from + 1; step <= to; step++) told.push([step, value++]);
        // Then evaluations, each of another step than the one before.
        for (let i = below(15); i > 0; i--) {
          const step = 1 + below(to);
          if (told.at(-1)?.[0] !== step) told.push([step, value++]);
        }
        for (const [step, one] of told) expected.set(step, one);
        for (let at = 0; at < told.length; ) {
          const end = at + 1 + below(20);
          metrics.append(id, 'x', points(told.slice(at, end)));
          at = end;
        }
      }
      const sorted = [...expected].sort(([a], [b]) => a - b);
      expect(pairs(metrics.lineage(segments, 'x'))).toEqual(sorted);
      expect(pairs(metrics.curve(segments, 'x', EVERYTHING, 0).points)).toEqual(sorted);
      const [low, high] = [below(to), below(to)];
      expect(pairs(metrics.curve(segments, 'x', { from: low, to: high }, 0).points)).toEqual(
        sorted.filter(([step]) => step > low && step <= high),
      );
    }
  });

  test('of a store from before is put in order as well, though nothing notes that its steps fall', () => {
    metrics.append(
      's',
      'x',
      points([
        [10, 1],
        [20, 2],
        [5, 3],
      ] as Told[]),
    );
    catalog.database.exec('UPDATE series SET falls = NULL, lowest_step = NULL');
    for (const after of [() => {}, () => metrics.append('s', 'x', points([[30, 4]]))]) {
      after();
      metrics.forgetIds();
      expect([...metrics.curve([{ session: 's', to: 99 }], 'x', EVERYTHING, 0).points.steps].slice(0, 3)).toEqual([
        5, 10, 20,
      ]);
    }
  });

  test('that falls back is thinned as any other, with its gaps', () => {
    const rising: Told[] = Array.from({ length: 20_000 }, (_, i) => [i, Math.sin(i / 900)]);
    rising[7_000]![1] = Number.NaN;
    metrics.append('s', 'x', points(rising));
    metrics.append('s', 'x', points([[50, 99]]));
    const { points: thin, total } = metrics.curve([{ session: 's', to: 1e9 }], 'x', EVERYTHING, 100);
    expect(total).toBe(20_000);
    expect(thin.steps.length).toBeLessThanOrEqual(200);
    expect([...thin.values]).toEqual(expect.arrayContaining([99, Number.NaN]));
    expect([...thin.steps]).toEqual([...thin.steps].sort((a, b) => a - b));
  });
});

describe('a summary', () => {
  test('has the value of the highest step, the best of the finite ones, and how many are not', () => {
    const told: Told[] = [
      [1, 5],
      [2, Number.NEGATIVE_INFINITY],
      [9, Number.NaN],
      [3, 7],
      [4, Number.POSITIVE_INFINITY],
    ];
    expect(summarize(points(told))).toEqual({
      last: 'NaN',
      lastStep: 9,
      min: 5,
      minStep: 1,
      max: 7,
      maxStep: 3,
      count: 5,
      notFinite: 3,
    });
    expect(summarize(points([[1, Number.NaN]]))).toMatchObject({ last: 'NaN', min: null, minStep: null, max: null });
  });

  test('of two parts is that of all, as long as no step is told twice', () => {
    const random = Random.seeded(5, 5);
    const values = [Number.NaN, Number.POSITIVE_INFINITY, 1, 2, 3, -4, 0.5, -0, 8];
    for (let round = 0; round < 200; round++) {
      const told: Told[] = Array.from({ length: 12 }, (_, step) => [
        step,
        values[Math.floor(random.float() * values.length)]!,
      ]);
      for (let i = told.length - 1; i > 0; i--) {
        const other = Math.floor(random.float() * (i + 1));
        [told[i], told[other]] = [told[other]!, told[i]!];
      }
      const cut = 1 + Math.floor(random.float() * 10);
      const [before, since] = [summarize(points(told.slice(0, cut)))!, summarize(points(told.slice(cut)))!];
      const all = summarize(points(told))!;
      // Of equal values either may be chosen.
      const { minStep: _, maxStep: __, ...rest } = all;
      expect(withSummary(before, since)).toMatchObject(rest);
    }
    expect(withSummary(undefined, summarize(points([[1, 2]]))!).last).toBe(toWireNumber(2));
  });
});
