/** Runs the tests of python/tests that start the most processes, with today's PyTorch, and those of the state with the oldest that is supported. */
import { test } from 'vitest';
import { CURRENT, ofProcesses, PYTEST_TIMEOUT_MS, pytest } from '../support/pytest.ts';

const OLDEST = process.env.TRAINSTASH_TEST_OLDEST_TORCH ?? '';

test.skipIf(!CURRENT)(
  'pytest passes with today’s PyTorch and several processes',
  async ({ task }) => {
    await pytest(task.meta, CURRENT, ofProcesses());
  },
  PYTEST_TIMEOUT_MS,
);

test.skipIf(!OLDEST)(
  'pytest passes with the oldest PyTorch',
  async ({ task }) => {
    await pytest(task.meta, OLDEST, ['tests', '-m', 'oldest']);
  },
  PYTEST_TIMEOUT_MS,
);
