/** Runs the tests of python/tests/<framework> with the real framework: the newest version each time, older ones in the full run. */
import { test } from 'vitest';
import { frameworkPython, frameworks } from '../../scripts/python-environments.ts';
import { environmentsMade } from './environments-made.ts';
import { pytest } from './pytest.ts';

const TIMEOUT_MS = 600_000;

/** Makes the tests of a framework: one for each of its environments. */
export async function testFramework(wanted: string): Promise<void> {
  await environmentsMade();
  for (const { name, framework, isOlder } of frameworks()) {
    if (framework !== wanted) continue;
    const isLeftOut = isOlder && !process.env.TRAINSTASH_TEST_FULL;
    const { python } = isLeftOut ? { python: null } : frameworkPython(name, false);
    test.skipIf(!python)(
      `pytest passes with ${name}`,
      async ({ task }) => {
        await pytest(task.meta, python!, [`tests/${framework}`]);
      },
      TIMEOUT_MS,
    );
  }
}
