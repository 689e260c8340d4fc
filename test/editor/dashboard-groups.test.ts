/** Runs of the dashboard in groups, in colours by a param, and on axes of params and metrics. */
import { expect, test } from 'vitest';
import { runUpdate } from '../../protocol/messages/run.ts';
import { makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { hasTurn } from '../support/sample.ts';
import { useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('runs are grouped by a param with a mean, coloured by it, and placed on axes from which one is chosen', {
  skip: !hasTurn('dashboard', 1, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const runs: string[] = [];
  for (const [seed, learningRate] of [0.02, 0.02, 0.005].entries()) {
    const { id } = await startSmall(client, fixture, { learningRate }, { seed });
    runs.push(id);
    await untilStatus(client, fixture, id, 'completed');
  }
  await client.request(runUpdate, { root: fixture.root, run: runs[0]!, note: '#baseline of the paper' });
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await editor.palette('Trainstash: Open the Dashboard');
  const page = await editor.webview(/3 runs/);
  await page.getByText('3 chosen').waitFor();
  await page.getByLabel('group by').selectOption('learningRate');
  const chart = page.locator('.chart', { hasText: 'val_loss' });
  await chart.getByText('learningRate=0.02 (2 runs)').waitFor();
  await chart.getByText('learningRate=0.005 (1 run)').waitFor();
  await editor.shot('dashboard-groups');
  await page.getByLabel('group by').selectOption('');
  await page.getByLabel('colour by').selectOption('learningRate');
  const axes = page.getByRole('img', { name: /Parallel coordinates/ });
  await axes.scrollIntoViewIfNeeded();
  await axes.getByText('val_loss (best)').waitFor();
  await editor.shot('dashboard-axes');
  await page.getByLabel('Across').selectOption('metric:val_loss');
  await page.locator('svg.scatter circle').first().click();
  await page.getByText('2 chosen').waitFor();
  await page.getByLabel('group by').selectOption({ label: 'tags' });
  await chart.getByText('#baseline (1 run)').waitFor();
  await editor.shot('dashboard-tags');
  // A pinned run stays on top and chosen; a view keeps that under a name.
  const oldest = page.getByRole('row', { name: /small #1 / });
  await oldest.hover();
  await oldest.getByRole('button', { name: 'Pin' }).click();
  await page.getByRole('button', { name: 'Clear' }).click();
  await page.getByText('1 chosen').waitFor();
  await page.getByText('Views', { exact: true }).click();
  await page.getByLabel('Name of this view').fill('baseline alone');
  await page.getByRole('button', { name: 'Save' }).click();
  await editor.shot('dashboard-views');
  await editor.page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Unpin' }).click();
  await page.getByRole('button', { name: 'Newest' }).click();
  await page.getByText('3 chosen').waitFor();
  await editor.page.keyboard.press('Control+w');
  await editor.palette('Trainstash: Open the Dashboard');
  const again = await editor.webview(/3 runs/);
  await again.getByText('3 chosen').waitFor();
  await again.getByText('Views', { exact: true }).click();
  await again.getByRole('button', { name: 'baseline alone', exact: true }).click();
  await again.getByText('1 chosen').waitFor();
  expect(await again.getByRole('row').nth(1).innerText()).toContain('small #1');
  expect(editor.pageErrors).toEqual([]);
});
