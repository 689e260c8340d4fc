/** Remotes in the editor: offers, runs that are only there, and going on here from what another machine has sent. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeFixture, SMALL_JOB } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { filesBelow, urlOf } from '../support/remotes.ts';
import { hasTurn } from '../support/sample.ts';
import { untilRow, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('a remote is accepted, tried and fetched; what is only there is shown greyed, and goes on here by one click', {
  skip: !hasTurn('elsewhere', 1, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const box = join(temporaryFolder(), 'box');
  const config = {
    remotes: { box: { url: urlOf(box) } },
    jobs: { small: { ...SMALL_JOB, params: { epochs: 3 }, push: 'box' } },
  };
  const other = makeFixture({ config });
  await other.cli('remote', 'add', 'box', '--yes');
  await other.cli('run', 'small', '-p', 'killAt=10', '-p', `marker=${join(other.folder, 'killed')}`);
  const sent = () => (existsSync(box) ? filesBelow(box).filter((name) => name.startsWith('checkpoints/')) : []);
  // A quick training leaves a checkpoint out while another one is written.
  await until('its checkpoints are there', () => sent().length > 0);
  await other.cli('daemon', 'stop');

  const fixture = makeFixture();
  rmSync(fixture.root, { recursive: true });
  execFileSync('git', ['clone', '-q', other.root, fixture.root], { stdio: 'pipe' });
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await editor.page.getByText('No runs yet').waitFor();
  await editor.page.getByRole('button', { name: 'Remotes Section' }).click();
  // Nothing is sent before somebody has said so.
  await untilRow(editor, /^remote box/, /not accepted/);
  await editor.shot('remote-offered');
  await editor.rowAction(editor.row(/^remote box/), 'Accept Remote…');
  await editor.page.getByRole('button', { name: 'Use It on This Machine' }).click();
  await editor.notification(/box is ready/);
  await untilRow(editor, /^remote box/, /never fetched/);
  await editor.rowAction(editor.row(/^remote box/), 'Fetch from Remotes');
  await untilRow(editor, /^remote box/, /1 run/);
  await editor.row(/^remote box/).click();
  await editor.page.keyboard.press('ArrowRight');
  await untilRow(editor, /small #1 on box/, /only there/);
  await editor.shot('remote-only-there');
  await editor.palette('Trainstash: Test Remote');
  await editor.page.locator('.quick-input-widget', { hasText: 'everything works' }).waitFor();
  await editor.shot('remote-test');
  await editor.page.keyboard.press('Escape');

  await editor.rowAction(editor.row(/small #1 on box/), 'Resume Here');
  await until('it is resumed, after a question where something differs', async () => {
    const question = editor.page.getByRole('button', { name: /Resume/ }).last();
    if (await question.isVisible().catch(() => false)) await question.click().catch(() => {});
    const { stdout } = await fixture.cli('ls');
    return stdout.includes('completed');
  });
  expect(editor.pageErrors).toEqual([]);
});
