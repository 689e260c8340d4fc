/** Pages beside the side bar: files with mistakes, exports, the dashboard, a comparison. */
import { appendFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runPause, runUpdate } from '../../protocol/messages/run.ts';
import { makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { hasTurn } from '../support/sample.ts';
import { openRunPage, untilRow, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

/** Sides of the comparison with the best run. */
const WITH_BEST = /small #2@18 ↔ small #[13]@/;

test('a mistake in trainstash.json is marked where it is', async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture({ config: { jobs: { small: { modul: 'small.ts' } } } });
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await editor.page.getByText('No runs yet').waitFor();
  await editor.quickOpen('trainstash.json');
  await editor.page.locator('.squiggly-error, .squiggly-warning').first().waitFor();
  await editor.palette('Problems: Focus on Problems View');
  await editor.shot('config');
  const problems = editor.page.locator('.markers-panel-container');
  await problems.getByText('unknown key "modul"; did you mean "module"?').waitFor();
  // One mistake, one marker.
  expect(await problems.getByText('[Ln').count()).toBe(1);
  // Starting a job anyway shows the error, with its explanation one click away.
  await editor.palette('Trainstash: Run a Job');
  const refused = editor.toast(/trainstash\.json/).filter({ hasText: 'Explain' });
  await refused.getByRole('button', { name: 'Explain' }).click();
  await until('the page of errors is open', async () => {
    for (const frame of editor.page.frames()) {
      const heading = frame.getByRole('heading', { name: 'configInvalid' });
      if (await heading.isVisible().catch(() => false)) return true;
    }
    return false;
  });
  await editor.shot('explained');
  writeFileSync(join(fixture.root, 'trainstash.json'), JSON.stringify({ jobs: { small: { module: 'small.ts' } } }));
  await editor.page.getByRole('button', { name: 'Jobs Section' }).click();
  await editor.row(/^job small/).waitFor();
});

test('the page of a run shows its curves, checkpoints, code and log; from it the run is exported to where it is asked for', {
  skip: !hasTurn('page of a run', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
  const own = await openRunPage(editor, /small #1/, /Code since then/);
  await own.locator('.chart', { hasText: 'val_loss' }).locator('canvas').waitFor();
  await own.getByText('unchanged').waitFor();
  await editor.shot('run-page');
  // A checkpoint says what it is made of.
  await own
    .locator('.checkpoints')
    .getByRole('row')
    .nth(1)
    .getByRole('button', { name: /made of/ })
    .click();
  await own.locator('.ingredients li.kept', { hasText: 'weights' }).first().waitFor();
  await own.locator('.ingredients').scrollIntoViewIfNeeded();
  await editor.shot('run-page-checkpoint');
  appendFileSync(join(fixture.root, 'small.ts'), '\n// another thought\n');
  await own.getByRole('button', { name: 'Compare again' }).click();
  await own.getByText('1 file differs').waitFor();
  await own.getByText('small.ts').click();
  await own.getByText('+// another thought').waitFor();
  await own.getByText('Log', { exact: true }).click();
  await own.locator('pre.log').getByText(/\S/).waitFor();
  await editor.shot('run-page-code');
  // What a person writes and starts elsewhere appears on it.
  await client.request(runUpdate, { root: fixture.root, run: run.id, note: 'the first of many' });
  await own.getByText('the first of many').waitFor();
  await own.getByRole('button', { name: 'Export…' }).click();
  const list = editor.page.locator('.quick-input-widget');
  await list.getByText('its weights have another layout than PyTorch’s').waitFor();
  await editor.shot('export-formats');
  await list.getByText('safetensors', { exact: true }).click();
  // Without VS Code's own dialog, as in a browser, it asks for a path in the same place.
  await list.getByText('Export small #1 as safetensors').waitFor();
  await editor.shot('export-where');
  await editor.acceptPath('Export small #1 as safetensors');
  await editor.notification(/Exported small_epoch_\S+\.safetensors, [\d.]+ kB/);
  await editor.shot('exported');
  // When opened, the file shows its contents.
  const [name] = readdirSync(fixture.root).filter((file) => file.endsWith('.safetensors'));
  await editor.quickOpen(name!);
  const page = await editor.webview(/\d+ tensors/);
  await page.getByRole('row', { name: /0\.Conv2D\/kernel \[3, 3, 1, 4\] F32/ }).waitFor();
  await page.getByRole('button', { name: 'Compute min, mean, max' }).click();
  await page.getByRole('columnheader', { name: 'Mean' }).waitFor();
  await editor.shot('checkpoint-file');
  expect(name).toMatch(/^small_epoch_0003_val_loss_[\d.]+\.safetensors$/);
  expect(existsSync(join(fixture.root, `${name}.trainstash.json`))).toBe(true);
});

test('the dashboard lists runs, draws those that are chosen, follows a live one, and two are compared', {
  skip: !hasTurn('dashboard', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture, { learningRate: 0.02 })).id, 'completed');
  appendFileSync(join(fixture.root, 'small.ts'), '\n// another thought\n');
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #2/, /^small #2/);
  await editor.palette('Trainstash: Open the Dashboard');
  const page = await editor.webview(/2 runs/);
  const grid = page.getByRole('grid');
  // The newest runs are chosen at once, and the head of a column says which value it shows.
  await page.getByText('2 chosen').waitFor();
  const chart = page.locator('.chart', { hasText: 'val_loss' });
  await chart.locator('canvas').waitFor();
  await grid.getByRole('columnheader', { name: 'val_loss (best)' }).waitFor();
  await editor.shot('dashboard');
  // Dragging zooms into a part of the axis; a double click resets it.
  const first = page.locator('.chart').first();
  const plot = first.locator('.u-over');
  // Where it is now: what is drawn later moves it.
  const inside = async (share: number, height = 0.5) => {
    const box = (await plot.boundingBox())!;
    await editor.page.mouse.move(box.x + box.width * share, box.y + box.height * height);
  };
  // With the pointer at the left end, the legend shows that step.
  const leftmost = async () => {
    await inside(0.01);
    return Number(/step\s*(\d+)/.exec((await first.locator('.u-legend').innerText()).replaceAll(/\s+/g, ' '))?.[1]);
  };
  await until('it is zoomed', async () => {
    await inside(0.3);
    await editor.page.mouse.down();
    await inside(0.7);
    await editor.page.mouse.up();
    return (await leftmost()) > 4;
  });
  await editor.shot('zoomed');
  await until('all is shown again', async () => {
    await plot.dblclick();
    return (await leftmost()) === 1;
  });
  // Clicking a checkpoint on the axis offers actions; the last one is at the right end.
  const box = (await plot.boundingBox())!;
  await editor.page.mouse.click(box.x + box.width - 1, box.y + box.height - 4);
  const offer = editor.page.locator('.quick-input-widget');
  await offer.getByText(/small #[12] at step 18/).waitFor();
  await offer.getByText('Resume from here').waitFor();
  await editor.shot('checkpoint-offer');
  await editor.page.keyboard.press('Escape');
  // The log is read when it is opened, and searched line by line.
  await page.getByText('Log', { exact: true }).click();
  await page.locator('pre').getByText(/\S/).waitFor();
  await page.getByRole('searchbox', { name: 'Search the log' }).fill('no line has this');
  await page.getByText('0 lines').waitFor();
  await page.getByText('Log', { exact: true }).click();
  const live = await startSmall(client, fixture, { slow: 200, epochs: 20 });
  await grid.getByRole('row', { name: /small #3.*running/ }).waitFor();
  await page.getByText('3 chosen').waitFor();
  await client.request(runPause, { root: fixture.root, run: live.id });
  await grid.getByRole('row', { name: /small #3.*paused/ }).waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await grid.getByRole('row', { name: /small #3/ }).click();
  await page.getByRole('button', { name: 'Resume' }).click();
  await grid.getByRole('row', { name: /small #3.*running/ }).waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await grid.getByRole('row', { name: /small #3.*paused/ }).waitFor();
  // Shift-click selects a range, in either direction.
  await page.getByRole('button', { name: 'Clear' }).click();
  await grid.getByRole('row', { name: /small #1/ }).click();
  await grid.getByRole('row', { name: /small #3/ }).click({ modifiers: ['Shift'] });
  await page.getByText('3 chosen').waitFor();
  await grid.getByRole('row', { name: /small #3/ }).click();
  await page.getByText('2 chosen').waitFor();
  await page.getByRole('searchbox', { name: 'Filter runs' }).fill('learningRate=0.02');
  await until('one row is left', async () => (await grid.getByRole('row', { name: /small #/ }).count()) === 1);
  await page.getByRole('button', { name: 'Compare' }).click();

  const diff = await editor.webview('Params');
  await diff.getByText('The states differ.').waitFor();
  await diff.getByRole('row', { name: /learningRate 0.02 0.01 default/ }).waitFor();
  await diff.getByText(/tensors changed/).waitFor();
  await editor.shot('diff');
  await diff.getByRole('button', { name: 'Open all in the diff editor' }).click();
  await editor.page.getByText('// another thought').first().waitFor();
  await editor.shot('diff-code');
  // A row is compared with the best of the others, and reported about in a file.
  await editor.rowMenu(editor.row(/small #2/), 'Compare with the Best Run');
  await editor.page.getByRole('tab', { name: WITH_BEST }).waitFor();
  await editor.rowMenu(editor.row(/small #2/), 'Write a Report…');
  await editor.acceptPath('Report about small #2');
  await editor.notification(/The report is one file of [\d.]+ kB/);
  expect(readFileSync(join(fixture.root, 'small-2.html'), 'utf8')).toContain('<figcaption>val_loss');

  // Both comparisons were opened on purpose; they and the dashboard come back with the window, with the same contents.
  // It writes down one after the other, and of each its title before what it compares.
  await until('the editor has written down both comparisons', () => editor.hasStored('sides', 2));
  await editor.reload();
  // VS Code's own diff of the code has the same name until it knows its files.
  const tabs = editor.page.locator('[role=tab][data-resource-name^="webview-trainstash.diff"]');
  await until('both comparisons are back', async () => (await tabs.count()) === 2);
  for (const of of [tabs.filter({ hasNotText: WITH_BEST }), tabs.filter({ hasText: WITH_BEST })]) {
    await of.click();
    await (await editor.webview('Params')).getByText(/tensors changed/).waitFor();
  }
  await editor.page.getByRole('tab', { name: 'Trainstash: project' }).click();
  await (await editor.webview(/3 runs/)).locator('.chart', { hasText: 'val_loss' }).locator('canvas').waitFor();
  expect(editor.pageErrors).toEqual([]);
});
