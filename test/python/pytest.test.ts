/** Runs the tests of python/tests with today's PyTorch. Those that start the most processes are in `pytest-processes.test.ts`. */
import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { CURRENT, ofProcesses, PYTEST_TIMEOUT_MS, PYTHON_FOLDER, pytest, runInPackage } from '../support/pytest.ts';
import { FULL } from '../support/sample.ts';

test.skipIf(!CURRENT)(
  'pytest passes with today’s PyTorch',
  async ({ task }) => {
    await pytest(task.meta, CURRENT, ['tests', ...ofProcesses().map((file) => `--ignore=${file}`)]);
  },
  PYTEST_TIMEOUT_MS,
);

// `npm run check` has run them before.
test.runIf(CURRENT && FULL)('mypy and ruff find nothing', async () => {
  expect(await runInPackage(CURRENT, ['-m', 'ruff', 'check', '--no-cache', '.'])).toMatchObject({ code: 0 });
  const cache = resolve(PYTHON_FOLDER, '../.cache/mypy');
  expect(await runInPackage(CURRENT, ['-m', 'mypy', '--cache-dir', cache, 'src/trainstash'])).toMatchObject({
    code: 0,
  });
});
