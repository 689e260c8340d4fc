/** A sweep in the side bar: one row with its runs, of which the best is marked. */
import { expect, test } from 'vitest';
import { sweepStart } from '../../protocol/messages/sweep.ts';
import { openProject, shellEnvironment } from '../support/daemon.ts';
import { hasTurn } from '../support/sample.ts';
import { sweepFixture, untilSweep } from '../support/sweep-rounds.ts';
import { useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('a sweep is one row, which opens to its runs, and stars the best of them', {
  skip: !hasTurn('rows', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = sweepFixture({});
  const client = await openProject(fixture);
  await client.request(sweepStart, {
    ...{ root: fixture.root, job: 'small', environment: shellEnvironment() },
    set: { learningRate: { choice: [0.02, 0.005, 0.0005] } },
    metric: 'loss',
    params: { epochs: 2 },
  });
  await untilSweep(client, fixture, 'finished');
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  const row = editor.row(/^sweep 1 of small/);
  await row.waitFor();
  await editor.shot('sweep-closed');
  await row.click();
  await editor.row(/the best of its sweep/).waitFor();
  await editor.shot('sweep-open');
  expect(editor.pageErrors).toEqual([]);
});
