/** Curves of a million points: a reduced curve shows what all of its points would. */
import { beforeEach, expect, test } from 'vitest';
import { Catalog } from '../../../../daemon/store/catalog/catalog.ts';
import { openCatalog } from '../../../../daemon/store/catalog/catalog-schema.ts';
import { Metrics } from '../../../../daemon/store/catalog/metrics.ts';
import type { Points } from '../../../../daemon/store/catalog/points.ts';
import { Random } from '../../../../trainer/random.ts';
import { afterwards } from '../../../support/cleanup.ts';
import { temporaryFolder } from '../../../support/folder.ts';

const COUNT = 300_000;
const BUCKETS = 500;
const EVERYTHING = { from: Number.NEGATIVE_INFINITY, to: Number.POSITIVE_INFINITY };
let catalog: Catalog;
let metrics: Metrics;

beforeEach(() => {
  const database = openCatalog(`${temporaryFolder()}/catalog.db`);
  afterwards(() => database.close());
  catalog = new Catalog(database);
  metrics = new Metrics(catalog);
});

test('a spike, a NaN and an infinity are on the curve wherever they are, and it counts every point', () => {
  const points = noise(0, COUNT);
  const spikes = [3, 40_961, 131_071, 299_998];
  for (const [i, at] of spikes.entries()) points.values[at] = i % 2 === 0 ? 50 + i : -50 - i;
  points.values[77_777] = Number.NaN;
  points.values[222_222] = Number.POSITIVE_INFINITY;
  append(points, [5_000, 100, 37, 60_000, 1]);
  const curve = metrics.curve(whole(), 'loss', EVERYTHING, BUCKETS);
  expect(curve.total).toBe(COUNT);
  expect(curve.points.steps.length).toBeLessThanOrEqual(2 * BUCKETS);
  expect(curve.points.steps.length).toBeGreaterThan(BUCKETS);
  for (const at of [...spikes, 77_777, 222_222]) expect([...curve.points.steps]).toContain(at);
  expect([...curve.points.steps]).toEqual([...curve.points.steps].sort((a, b) => a - b));
  for (const [i, step] of curve.points.steps.entries()) expect(curve.points.values[i]).toBe(points.values[step]);
});

test('a narrow range shows each of its points, a wide one ends where it was told to', () => {
  const points = noise(0, COUNT);
  append(points, [20_000]);
  const narrow = metrics.curve(whole(), 'loss', { from: 100_000, to: 100_500 }, BUCKETS);
  expect([...narrow.points.steps]).toEqual(Array.from({ length: 500 }, (_, i) => 100_001 + i));
  expect([...narrow.points.values]).toEqual([...points.values.subarray(100_001, 100_501)]);
  points.values.fill(0);
  const wide = metrics.curve(whole(), 'loss', { from: 70_123, to: 250_456 }, BUCKETS);
  expect(wide.total).toBe(250_456 - 70_123);
  expect(wide.points.steps[0]).toBeGreaterThan(70_123);
  expect(wide.points.steps.at(-1)).toBeLessThanOrEqual(250_456);
});

test('a narrow range shows each of its points also where the blocks around it are the largest', () => {
  append(noise(0, COUNT), [65_000]);
  for (const from of [10_000, 64_800]) {
    const { points, total } = metrics.curve(whole(), 'loss', { from, to: from + 400 }, BUCKETS);
    expect([points.steps.length, total]).toEqual([400, 400]);
  }
});

test('what a resume did again is told once, also inside of a block that is only outlined', () => {
  append(noise(0, COUNT), [COUNT], 'first');
  append(noise(150_000, COUNT), [COUNT], 'second');
  const segments = [
    { session: 'first', from: Number.NEGATIVE_INFINITY, to: 149_999 },
    { session: 'second', from: 149_999, to: Number.POSITIVE_INFINITY },
  ];
  const curve = metrics.curve(segments, 'loss', EVERYTHING, BUCKETS);
  expect(curve.total).toBe(150_000 + COUNT);
  expect([...curve.points.steps]).toEqual([...curve.points.steps].sort((a, b) => a - b));
});

test('a long curve is read from a small part of its bytes; a removed run leaves none', () => {
  append(noise(0, COUNT), [30_000]);
  const size = (table: string) =>
    Number(catalog.database.prepare(`SELECT coalesce(sum(length(data)), 0) AS n FROM ${table}`).get()!.n);
  expect(size('metric_outline')).toBeLessThan(size('metric_block') / 30);
  catalog.putSession({ id: 's', run: 'r', ordinal: 1, purpose: 'train' } as never);
  catalog.removeRun('r');
  expect([size('metric_block'), size('metric_outline')]).toEqual([0, 0]);
});

function whole() {
  return [{ session: 's', ...EVERYTHING }];
}

/** Appends points in pieces of these sizes, again and again. */
function append({ steps, values, times }: Points, sizes: number[], session = 's'): void {
  for (let at = 0, piece = 0; at < steps.length; piece++) {
    const end = at + sizes[piece % sizes.length]!;
    const columns = { steps: steps.slice(at, end), values: values.slice(at, end), times: times.slice(at, end) };
    metrics.append(session, 'loss', columns);
    at = end;
  }
}

function noise(first: number, count: number): Points {
  const random = Random.seeded(1, 2);
  const steps = Float64Array.from({ length: count }, (_, i) => first + i);
  return { steps, values: Float64Array.from(steps, () => random.float()), times: steps };
}
