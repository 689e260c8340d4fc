/** Clusters in the side bar: GPUs, queue and nodes of a real Slurm, and a run there that is a run like any other. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { onEngine } from '../support/engine-training.ts';
import { hasTurn } from '../support/sample.ts';
import { slurm, whyNoSlurm } from '../support/slurm.ts';
import { openRunPage, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('a cluster shows its free GPUs, its queue and its nodes; a run waits there with its reason, and trains', {
  skip: !hasTurn('elsewhere', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const missing = whyNoSlurm();
  if (missing) return context.skip(missing);
  const cluster = await slurm({ nodes: 2, gpus: 2 });
  const box = { type: 'slurm', folder: join(cluster.folder, 'box'), options: ['--gres=gpu:a100:2'] };
  const on = await onEngine(box, cluster.variables);
  const { fixture } = on;
  // One node's GPUs are somebody else's, and the other node is closed.
  const theirs = cluster
    .call('sbatch', '--parsable', '--gres=gpu:a100:2', '--wrap', 'sleep 3000', '--output=/dev/null')
    .trim();
  cluster.call('scontrol', 'update', 'NodeName=n2', 'State=DRAIN', 'Reason=disk');
  // It goes on for as long as anybody looks.
  on.slowDown();
  const run = await on.start();
  await on.untilRun(run.id, 'it waits with the reason of the scheduler', ({ engine }) => !!engine?.reason);
  const editor = await workbench.open(fixture, cluster.variables);
  await editor.showTrainstash();
  await editor.row(/train #1/).waitFor();
  // Rows that have no room are not drawn.
  const runs = editor.page.getByRole('button', { name: /^Runs .*Section/ });
  await editor.page.getByRole('button', { name: 'Clusters Section' }).click();
  await runs.click();
  await editor.row(/^cluster box, Slurm · 0 of 4 GPUs free · 1 waiting/).waitFor();
  await editor.row(/^Queue, 1 running · 1 waiting/).click();
  await editor.row(new RegExp(`^job ${theirs} wrap, on n1`)).waitFor();
  await editor.row(/^Nodes, 2/).click();
  await editor.row(/^node n2, 0 of 2 GPUs free · drained/).waitFor();
  const row = editor.row(/^run train #1, .*waits/);
  await row.waitFor();
  await editor.shot('clusters-waiting');

  // The node opens, and it trains: with its nodes, its log and its curves.
  cluster.call('scontrol', 'update', 'NodeName=n2', 'State=RESUME');
  await on.untilRun(run.id, 'it trains', ({ step }) => step > 25);
  await editor.row(/^run train #1, .*box · job \d+ · on n2/).waitFor();
  const page = await openRunPage(editor, /^run train #1/, /GPU hours, on 2 GPUs/);
  await page
    .getByText(/box · job \d+ · on n2/)
    .first()
    .waitFor();
  await page.locator('.chart canvas').first().waitFor();
  await editor.shot('clusters-run');
  cluster.call('scancel', theirs);
  on.release();
  await on.untilRun(run.id, 'it has completed', ({ status }) => status === 'completed');
  expect(editor.pageErrors).toEqual([]);
});
