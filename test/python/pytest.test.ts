/** Runs the tests of python/tests: all of them with today's PyTorch, those of the state with the oldest that is supported. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { PYTHON_FOLDER, pytest, runInPackage } from '../support/pytest.ts';

const CURRENT = process.env.TRAINSTASH_TEST_TORCH ?? '';
const OLDEST = process.env.TRAINSTASH_TEST_OLDEST_TORCH ?? '';
const TIMEOUT_MS = 300_000;

test.skipIf(!CURRENT)(
  'pytest passes with today’s PyTorch',
  async ({ task }) => {
    await pytest(task.meta, CURRENT, ['tests']);
  },
  TIMEOUT_MS,
);

test.skipIf(!OLDEST)(
  'pytest passes with the oldest PyTorch',
  async ({ task }) => {
    await pytest(task.meta, OLDEST, ['tests', '-m', 'oldest']);
  },
  TIMEOUT_MS,
);

test.skipIf(!CURRENT)('mypy and ruff find nothing', async () => {
  expect(await runInPackage(CURRENT, ['-m', 'ruff', 'check', '--no-cache', '.'])).toMatchObject({ code: 0 });
  const cache = resolve(PYTHON_FOLDER, '../.cache/mypy');
  expect(await runInPackage(CURRENT, ['-m', 'mypy', '--cache-dir', cache, 'src/trainstash'])).toMatchObject({
    code: 0,
  });
});
