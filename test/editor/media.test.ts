/** Images, histograms, tables and texts on the page of a run, by step, and side by side in a comparison. */

import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { commandFixture, start } from '../support/commands.ts';
import { openProject, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { hasTurn } from '../support/sample.ts';
import { trainerText } from '../support/trainer-text.ts';
import { openRunPage, untilRow, useWorkbench } from '../support/workbench.ts';

/** Part of a decoded image, as a browser has it. */
interface Drawn {
  naturalWidth: number;
}

const workbench = useWorkbench();

/** Logs one thing of each kind at 20 steps; the image is a ramp that brightens. */
const SCRIPT = trainerText('logs_media.py');

test('what a run logs beside numbers is on its page, by step, and side by side in a comparison', {
  skip: !hasTurn('page of a run', 1, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  if (!PYTHON) return context.skip('there is no Python with torch');
  const fixture = commandFixture();
  writeFileSync(join(fixture.root, 'log.py'), SCRIPT);
  const client = await openProject(fixture);
  for (const seed of ['1', '2']) {
    const run = await start(client, fixture, [PYTHON, 'log.py', seed]);
    await untilStatus(client, fixture, run.id, 'completed');
  }
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /log #2/, /^log #2/);
  const page = await openRunPage(editor, /log #2/, /Code since then/);
  const ramp = page.locator('.medium', { hasText: 'ramp' });
  await ramp.getByText('step 20').waitFor();
  const image = ramp.getByRole('img', { name: 'ramp at step 20' });
  await until('the image is drawn', () => image.evaluate((one) => (one as unknown as Drawn).naturalWidth === 24));
  await page.locator('.medium.of-histogram rect').first().waitFor();
  await page.locator('.medium.of-table').getByText('Show 10 more rows').waitFor();
  // Text stays text, and what is no image is not drawn.
  await page.locator('.medium.of-text').getByText('<img src=x onerror=alert(1)> at step 20 of seed 2').waitFor();
  await page.locator('.medium', { hasText: 'hostile' }).getByText('It is not shown').waitFor();
  await ramp.scrollIntoViewIfNeeded();
  await editor.shot('media');
  // The slider goes through the steps, by keys as well.
  await ramp.getByRole('slider').focus();
  await editor.page.keyboard.press('Home');
  await ramp.getByRole('img', { name: 'ramp at step 5' }).waitFor();
  await editor.page.keyboard.press('ArrowRight');
  await ramp.getByRole('img', { name: 'ramp at step 10' }).waitFor();
  await editor.palette('Trainstash: Open the Dashboard');
  const dashboard = await editor.webview(/2 runs/);
  await dashboard.getByText('2 chosen').waitFor();
  await dashboard.getByRole('button', { name: 'Compare' }).click();
  const diff = await editor.webview('Params');
  const both = diff.locator('.medium', { hasText: 'weights' });
  await until('both sides are drawn', async () => (await both.locator('svg').count()) === 2);
  await both.scrollIntoViewIfNeeded();
  await editor.shot('media-diff');
  expect(editor.pageErrors).toEqual([]);
});
