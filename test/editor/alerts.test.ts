/** Trouble of a live run, as a person at the editor is told of it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runShow } from '../../protocol/messages/run.ts';
import { commandFixture, start } from '../support/commands.ts';
import { openProject, untilStatus } from '../support/daemon.ts';
import { hasTurn } from '../support/sample.ts';
import { useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

/** Trains until the file `diverge` is there, and then reports a metric that is no number until `end` is. */
const SCRIPT = `
const { existsSync } = require('fs');
let step = 0;
const timer = setInterval(() => {
  step++;
  console.log('trainstash step=' + step + ' loss=' + 1 / step + ' val_iou=' + (existsSync('diverge') ? 'nan' : 0.5));
  if (existsSync('end')) clearInterval(timer);
}, 200);
`;

test('without a rule a metric that is no number is told in a message, in the row and in the status bar, and is over with the run', {
  skip: !hasTurn('rows', 1, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = commandFixture();
  const { root } = fixture;
  const client = await openProject(fixture);
  const run = await start(client, fixture, [process.execPath, '-e', SCRIPT]);
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await editor.row(/live|running|loss/).waitFor();
  writeFileSync(join(root, 'diverge'), '');
  const toast = editor.page.locator('.notification-toast', { hasText: /val_iou is NaN at step/ });
  await toast.first().waitFor();
  await editor.shot('alert');
  const row = editor.row(/val_iou is NaN/);
  await row.waitFor();
  await editor.page
    .locator('.statusbar-item', { hasText: /val_iou is NaN at step/ })
    .first()
    .waitFor();
  const { notices } = (await client.request(runShow, { root, run: run.id })).run;
  expect(notices.map(({ code }) => code)).toEqual(['nonFinite']);
  writeFileSync(join(root, 'end'), '');
  await untilStatus(client, fixture, run.id, 'completed');
  expect(await toast.count()).toBe(1);
  expect(editor.pageErrors).toEqual([]);
});
