/** The order of the test files: two workers are busy until the end, and of the editor's files one runs at a time. */
import { existsSync, globSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { frameworks } from '../../../scripts/python-environments.ts';
import { inOrder, SECONDS, secondsOf } from '../../support/sequencer.ts';

const TESTS = resolve(import.meta.dirname, '../..');
const all = globSync('**/*.test.ts', { cwd: TESTS }).map((path) => path.replaceAll('\\', '/'));

/** Plays the workers: when each file begins and ends. */
function played(order: readonly string[]): { name: string; begins: number; ends: number }[] {
  const free = [0, 0];
  return order.map((name) => {
    const worker = free[0]! <= free[1]! ? 0 : 1;
    const begins = free[worker]!;
    free[worker] = begins + secondsOf(name);
    return { name, begins, ends: free[worker]! };
  });
}

test('every file comes once, and those whose seconds are known are there', () => {
  expect([...inOrder(all, (name) => name)].sort()).toEqual([...all].sort());
  for (const name of Object.keys(SECONDS)) expect(existsSync(join(TESTS, name)), name).toBe(true);
});

test('no two files of the editor run at once, and neither worker is without work for a minute', () => {
  const files = played(inOrder(all, (name) => name));
  const editor = files.filter(({ name }) => name.startsWith('editor/')).sort((a, b) => a.begins - b.begins);
  for (const [i, { name, begins }] of editor.entries())
    expect(begins, name).toBeGreaterThanOrEqual(i === 0 ? 0 : editor[i - 1]!.ends);
  const end = Math.max(...files.map(({ ends }) => ends));
  const seconds = files.reduce((sum, { begins, ends }) => sum + ends - begins, 0);
  expect(2 * end - seconds).toBeLessThan(60);
});

test('some of a folder are ordered too', () => {
  const names = ['editor/a.test.ts', 'editor/b.test.ts', 'unit/c.test.ts'];
  expect([...inOrder(names, (name) => name)].sort()).toEqual(names);
});

test('each framework has a file of tests', () => {
  const files = globSync('python/frameworks/*.test.ts', { cwd: TESTS }).map((path) => basename(path, '.test.ts'));
  expect(files.sort()).toEqual([...new Set(frameworks().map(({ framework }) => framework))].sort());
});
