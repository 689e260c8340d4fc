/** A session's folder that is removed while its training runs: the run ends with the training, and says what is missing. */
import { expect, test } from 'vitest';
import { start } from '../support/commands.ts';
import { makeFixture, openProject, show } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';

const REMOVES = 'import shutil; shutil.rmtree(".git/trainstash/sessions")';

test.skipIf(!PYTHON)('a run whose script removes the folders of all sessions is over when the script is', async () => {
  const fixture = makeFixture({ config: { jobs: {} } });
  const client = await openProject(fixture);
  const run = await start(client, fixture, [PYTHON, '-c', REMOVES]);
  // How it has ended is known only where the record was written before.
  const ended = await until('it is over', async () => {
    const { status } = (await show(client, fixture, run.id)).run;
    return ['lost', 'failed', 'completed'].includes(status) && status;
  });
  expect(['lost', 'completed']).toContain(ended);
  // Nobody waits for it, and the next one starts.
  const next = await start(client, fixture, [PYTHON, '-c', 'print("next")']);
  await until('the next one is over', async () => (await show(client, fixture, next.id)).run.status === 'completed');
});
