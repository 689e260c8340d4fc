/** Folders in the side bar: branches, trust, an empty one, two of them. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../client/connect.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runList } from '../../protocol/messages/run.ts';
import { BUILD, gitProject, makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { openEditor } from '../support/editor.ts';
import { until } from '../support/folder.ts';
import { hasTurn } from '../support/sample.ts';
import { untilRow, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('the tree follows HEAD; a daemon that was stopped on purpose stays stopped until asked for', {
  skip: !hasTurn('folders', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /^branch main/, /main current · 1 run/);
  execFileSync('git', ['switch', '-qc', 'idea'], { cwd: fixture.root });
  await untilRow(editor, /^branch idea/, /idea current · 0 runs/);
  await untilRow(editor, /^branch main/, /main 1 run/);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  await untilRow(editor, /^branch idea/, /idea current · 1 run/);

  await untilRow(editor, /small #2/, /^small #2 val_loss/);
  await editor.rowMenu(editor.row(/small #2/), 'Delete');

  await editor.row(/small #2/).waitFor({ state: 'detached' });
  const deleted = await editor.notification(/moved to the trash/);
  await deleted.getByRole('button', { name: 'Undo' }).click();
  await editor.row(/small #2/).waitFor();

  await client.request(daemonStop, {});
  await client.closed;
  await editor.page.getByText('The daemon was stopped').waitFor();
  await editor.shot('stopped');
  const again = await connect({ name: 'test', build: BUILD, dist: null, env: fixture.env }).catch(() => null);
  expect(again).toBeNull();
  await editor.palette('Trainstash: Refresh');
  await editor.page.getByText('The daemon was stopped').waitFor({ state: 'hidden' });
  await editor.row(/small #2/).waitFor();
});

test('a newcomer is led from an empty view to a training that is killed and resumed; nothing is written before', async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const plain = join(fixture.folder, 'plain');
  mkdirSync(plain);
  writeFileSync(join(plain, 'train.py'), 'import missing_module\n');
  gitProject(plain);
  const editor = await openEditor(workbench.parts, { folder: plain, state: join(fixture.folder, 'state') });
  const { page } = editor;
  await editor.showTrainstash();
  await page.getByText('No training has been run here yet').waitFor();
  await editor.shot('unused');
  expect(existsSync(join(fixture.folder, 'state/daemon.json'))).toBe(false);
  expect(existsSync(join(plain, '.git/trainstash'))).toBe(false);

  // Each step of the walkthrough works where it stands, and is ticked once it has succeeded.
  await page.getByText('see the first steps').click();
  const walkthrough = page.locator('.gettingStartedContainer');
  const step = (title: string) => walkthrough.locator('.getting-started-step', { hasText: title });
  const isTicked = (title: string) => step(title).locator('.codicon-getting-started-step-checked').isVisible();
  await step('Train something').waitFor();
  await editor.shot('walkthrough');
  for (const title of ['Train something', 'See what was kept', 'Kill it', 'Keep it as a job'])
    expect(await isTicked(title), title).toBe(false);
  await walkthrough.getByRole('button', { name: 'Train the Example' }).click();
  await (await editor.webview(/1 run/)).locator('.chart canvas').first().waitFor();
  await editor.shot('example');
  expect(existsSync(join(plain, '.git/trainstash'))).toBe(false);
  await editor.row(/^project example/).waitFor();
  await page.getByRole('tab', { name: 'Welcome' }).click();
  await until('the first step is ticked', () => isTicked('Train something'));
  await until('the second step is ticked', () => isTicked('See what was kept'));
  expect(await isTicked('Kill it')).toBe(false);
  // It has a checkpoint once its row can be unfolded.
  await page.getByRole('treeitem', { name: /digits #1/, expanded: false }).waitFor();
  await step('Kill it').click();
  await walkthrough.getByRole('button', { name: 'Kill the Training…' }).click();
  const question = page.locator('.monaco-dialog-box', { hasText: 'Kill digits #1?' });
  await question.getByText('A resume goes on from step').waitFor();
  await editor.shot('kill-question');
  await question.getByRole('button', { name: 'Kill' }).click();
  await editor.notification(/digits #1 was killed at step/);
  await untilRow(editor, /digits #1/, /stopped at/);
  await walkthrough.getByRole('button', { name: 'Resume the Last Run' }).click();
  await until('the third step is ticked', () => isTicked('Kill it'));
  await editor.shot('walkthrough-ticked');
  expect(await isTicked('Keep it as a job')).toBe(false);

  // A first failure stays in sight, also after another one.
  await step('Train something').click();
  for (const number of [1, 2]) {
    const list = page.locator('.quick-input-widget');
    // A list closes when something else takes the focus, as the log of the run before does.
    await until('the script is chosen', async () => {
      await walkthrough.getByRole('button', { name: 'Run a Script…' }).click();
      const row = list.locator('.monaco-list-row', { hasText: 'train.py' });
      return row.click({ timeout: 3_000 }).then(
        () => true,
        () => false,
      );
    });
    await untilRow(editor, new RegExp(`train #${number}`), /failed/);
  }
  await editor.row(/train #1/).waitFor();
  await editor.shot('first-failures');
  await editor.palette('Trainstash: Set Up this Folder');
  await until('trainstash.json is there', () => existsSync(join(plain, 'trainstash.json')));
  await page.getByText('"every": "1 epoch, 5m"').waitFor();
  await editor.shot('set-up');
  expect(editor.pageErrors).toEqual([]);
});

test('in a folder that is not trusted the history is shown, and nothing can be started', {
  skip: !hasTurn('trust', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await openEditor(workbench.parts, {
    folder: fixture.root,
    state: join(fixture.folder, 'state'),
    settings: { 'security.workspace.trust.enabled': true, 'security.workspace.trust.startupPrompt': 'never' },
  });
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
  await editor.row(/small #1/).hover();
  await editor.shot('untrusted');
  expect(
    await editor
      .row(/small #1/)
      .getByRole('button', { name: 'Resume' })
      .count(),
  ).toBe(0);
  await editor.page.keyboard.press('F1');
  const list = editor.page.locator('.quick-input-widget');
  await list.locator('input.input').fill('>Trainstash: R');
  await list.locator('.monaco-list-row', { hasText: 'Trainstash: Refresh' }).waitFor();
  expect(await list.locator('.monaco-list-row', { hasText: 'Trainstash: Run a Job' }).count()).toBe(0);
  await editor.page.keyboard.press('Escape');

  // Moving HEAD starts nothing either, and is shown.
  execFileSync('git', ['switch', '-qc', 'idea'], { cwd: fixture.root });
  await untilRow(editor, /^branch idea/, /idea current · 0 runs/);
  expect((await client.request(runList, { root: fixture.root, drafts: true })).runs).toHaveLength(1);
  expect(editor.pageErrors).toEqual([]);
});

test('two folders in one window are two projects', { skip: !hasTurn('folders', 1, 2) }, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const other = join(fixture.folder, 'other');
  cpSync(fixture.root, other, { recursive: true, filter: (source) => !source.includes('.git') });
  gitProject(other);
  const workspace = join(fixture.folder, 'both.code-workspace');
  writeFileSync(workspace, JSON.stringify({ folders: [{ path: fixture.root }, { path: other }] }));
  const editor = await openEditor(workbench.parts, {
    workspace,
    folder: fixture.root,
    state: join(fixture.folder, 'state'),
  });
  await editor.showTrainstash();
  await editor.row(/^project project/).waitFor();
  await editor.row(/^project other/).waitFor();
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
  const list = editor.page.locator('.quick-input-widget');
  // A list closes when something else takes the focus, as a starting window does.
  await until('the other project is chosen', async () => {
    await editor.palette('Trainstash: Run a Job');
    await list.getByText('Trainstash: which project?').waitFor();
    await editor.shot('two-folders');
    const row = list.locator('.monaco-list-row', { hasText: other });
    return row.click({ timeout: 3_000 }).then(
      () => true,
      () => false,
    );
  });
  const there = { ...fixture, root: other, store: join(other, '.git/trainstash') };
  const second = await openProject(there);
  const started = () => second.request(runList, { root: other, drafts: true });
  await until('it is started there', async () => (await started()).runs.length > 0);
  await untilStatus(second, there, '1', 'completed');
  expect(editor.pageErrors).toEqual([]);
});
