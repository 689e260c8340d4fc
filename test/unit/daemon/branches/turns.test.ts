/** Turns on a worktree's files: records of written files are gathered, and nothing overtakes them. */
import { expect, test } from 'vitest';
import type { RawPath } from '../../../../daemon/branches/paths.ts';
import { Turns, type Written } from '../../../../daemon/branches/turns.ts';

const file = (name: string): Written => ({ run: 'r', paths: [name as RawPath] });

test('files that are written within a moment are recorded together', async () => {
  const records: string[][] = [];
  const turns = new Turns(
    async (written) => void records.push(written.flatMap(({ paths }) => paths)),
    () => {},
  );
  const names = Array.from({ length: 200 }, (_, i) => `${i}.pt`);
  await Promise.all(names.map((name) => turns.written(file(name))));
  await turns.settled();
  expect(records).toEqual([names]);
});

test('other work comes after the files that were written before it', async () => {
  const order: string[] = [];
  const turns = new Turns(
    async (written) => void order.push(...written.flatMap(({ paths }) => paths)),
    () => {},
  );
  const recorded = turns.written(file('first.pt'));
  await turns.run(async () => void order.push('work'));
  await Promise.all([recorded, turns.written(file('second.pt'))]);
  expect(order).toEqual(['first.pt', 'work', 'second.pt']);
});

test('a record that fails is told, and costs neither other work nor later records', async () => {
  const told: string[] = [];
  let fails = true;
  const turns = new Turns(
    async () => (fails ? Promise.reject(new Error('no git')) : undefined),
    ({ message }) => told.push(message),
  );
  await turns.written(file('a.pt'));
  expect(told).toEqual(['no git']);
  fails = false;
  await turns.written(file('b.pt'));
  expect(await turns.run(async () => 7)).toBe(7);
  expect(told).toHaveLength(1);
});
