/** Folders in the side bar: branches, trust, an empty one, two of them. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { connect } from '../../client/connect.ts';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runList } from '../../protocol/messages/run.ts';
import { BUILD, gitProject, makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { openEditor } from '../support/editor.ts';
import { until } from '../support/folder.ts';
import { untilRow, useWorkbench } from '../support/workbench.ts';

vi.setConfig({ testTimeout: 240_000 });

const workbench = useWorkbench();

test('the tree follows HEAD; a daemon that was stopped on purpose stays stopped until asked for', async (context) => {
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

test('in a repository that has nothing of ours no daemon is started and nothing is written until it is set up', async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const plain = join(fixture.folder, 'plain');
  mkdirSync(plain);
  writeFileSync(join(plain, 'train.py'), 'print(1)\n');
  gitProject(plain);
  const editor = await openEditor(workbench.parts, { folder: plain, state: join(fixture.folder, 'state') });
  await editor.showTrainstash();
  await editor.page.getByText('No training was run here yet').waitFor();
  await editor.shot('unused');
  expect(existsSync(join(fixture.folder, 'state/daemon.json'))).toBe(false);
  expect(existsSync(join(plain, '.git/trainstash'))).toBe(false);

  await editor.page.getByText('Set Up this Folder').first().click();
  await until('trainstash.json is there', () => existsSync(join(plain, 'trainstash.json')));
  expect(JSON.parse(readFileSync(join(plain, 'trainstash.json'), 'utf8'))).toHaveProperty('jobs');
  await editor.page.getByText('No runs yet').waitFor();
});

test('in a folder that is not trusted the history is shown, and nothing can be started', async (context) => {
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

test('two folders in one window are two projects', async (context) => {
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
