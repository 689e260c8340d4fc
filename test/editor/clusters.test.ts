/** Clusters in the side bar: one is set up and tried, shows its GPUs and its queue, and a run there is a run like any other. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runPause } from '../../protocol/messages/run.ts';
import { show, untilStatus } from '../support/daemon.ts';
import { onEngine } from '../support/engine-training.ts';
import { slurm, whyNoSlurm } from '../support/slurm.ts';
import { openRunPage, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('a cluster is set up, tried and watched; a run waits there with its reason, trains, and is resumed here', async (context) => {
  if (!workbench.parts) return context.skip();
  const missing = whyNoSlurm();
  if (missing) return context.skip(missing);
  const cluster = await slurm({ nodes: 2, gpus: 2 });
  const box = { type: 'slurm', folder: join(cluster.folder, 'box'), options: ['--gres=gpu:a100:2'] };
  const on = await onEngine(box, cluster.variables);
  const { fixture, client } = on;
  // One node's GPUs are somebody else's, and the other node is closed.
  const theirs = cluster
    .call('sbatch', '--parsable', '--gres=gpu:a100:2', '--wrap', 'sleep 3000', '--output=/dev/null')
    .trim();
  cluster.call('scontrol', 'update', 'NodeName=n2', 'State=DRAIN', 'Reason=disk');
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
  await page
    .getByText(/seen \d+/)
    .first()
    .waitFor();
  await editor.shot('clusters-run');
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');

  // It goes on where it is told to.
  await runs.click();
  await editor.rowMenu(editor.page.getByRole('treeitem', { name: /^train #1, paused/ }), 'Resume on…');
  const list = editor.page.locator('.quick-input-widget');
  await list.locator('.monaco-list-row', { hasText: 'This machine' }).click();
  await untilStatus(client, fixture, run.id, 'running');
  const { run: here } = await show(client, fixture, run.id);
  expect(here.engine ?? null).toBeNull();
  on.release();
  await untilStatus(client, fixture, run.id, 'completed');

  // A second one is set up; what it lacks is said first.
  const folder = join(cluster.folder, 'second');
  writeFileSync(folder, 'a file is in the way');
  await editor.palette('Trainstash: Set Up a Cluster');
  await list.locator('.monaco-list-row', { hasText: 'Slurm, from this machine' }).click();
  for (const answer of [folder, '--gres=gpu:a100:2', 'second']) {
    await list.locator('input.input').fill(answer);
    await editor.page.keyboard.press('Enter');
    await list.getByText(answer === 'second' ? /something is missing/ : /options of sbatch|its name/i).waitFor();
  }
  await editor.shot('clusters-missing');
  await list.locator('.monaco-list-row .codicon-error').first().waitFor();
  await editor.page.keyboard.press('Escape');
  expect(JSON.parse(readFileSync(join(fixture.root, 'trainstash.json'), 'utf8')).engines.second).toEqual({
    type: 'slurm',
    folder,
    options: ['--gres=gpu:a100:2'],
  });
  rmSync(folder);
  await editor.row(/^cluster second/).hover();
  await editor.rowAction(editor.row(/^cluster second/), 'Test Cluster');
  await list.getByText(/everything works/).waitFor();
  await editor.shot('clusters-works');
  await editor.page.keyboard.press('Escape');
  expect(editor.pageErrors).toEqual([]);
});
