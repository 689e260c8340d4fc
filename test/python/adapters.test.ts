/** Tests of the adapters without a framework. Those with the frameworks are in python/tests. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../support/folder.ts';
import { PYTHON, pythonLaunch, runPython } from '../support/python.ts';

test.skipIf(!PYTHON)('a trainer of nobody’s is refused by name', async () => {
  const sessions = temporaryFolder();
  const path = join(sessions, 'script.py');
  writeFileSync(
    path,
    'import trainstash\ntry: trainstash.attach(object())\nexcept TypeError as error: print("FINAL", error)',
  );
  const { final } = await runPython(sessions, pythonLaunch(), [path]);
  expect(final).toContain('builtins.object is neither');
});
