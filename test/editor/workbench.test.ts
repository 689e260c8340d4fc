import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test, vi } from 'vitest';
import { connect } from '../../client/connect.ts';
import { checkpointTag, daemonStop, logRead, runList, runPause } from '../../protocol/messages.ts';
import {
  BUILD,
  type Fixture,
  gitProject,
  kill,
  makeFixture,
  openProject,
  show,
  startSmall,
  untilStatus,
  untilStep,
} from '../support/daemon.ts';
import { type Editor, type EditorParts, editorParts, openEditor } from '../support/editor.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { makeRepository } from '../support/repository.ts';

vi.setConfig({ testTimeout: 240_000 });

let parts: EditorParts | null;
beforeAll(async () => {
  parts = await editorParts();
}, 600_000);

function editorOf(fixture: Fixture): Promise<Editor> {
  return openEditor(parts!, { folder: fixture.root, state: join(fixture.folder, 'state') });
}

/** Waits until a row says what it should. */
function untilRow(editor: Editor, name: RegExp, text: RegExp): Promise<string> {
  return until(`the row ${name} says ${text}`, async () => {
    const row = editor.row(name);
    if (!(await row.isVisible())) return false;
    const shown = await editor.textOf(row).catch(() => '');
    return text.test(shown) && shown;
  });
}

function untilStatusBar(editor: Editor, text: RegExp): Promise<unknown> {
  return until(`the status bar says ${text}`, async () => {
    if (!(await editor.status.isVisible())) return false;
    return text.test((await editor.status.innerText().catch(() => '')).replaceAll(/\s+/g, ' '));
  });
}

test('a run is started, paused, outlives a killed daemon and a reloaded window, and is resumed by one click', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture({
    config: {
      jobs: { small: { module: 'small.ts', params: { slow: 300, epochs: 30 }, checkpoint: { every: '4 steps' } } },
    },
  });
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await editor.page.getByText('No runs yet').waitFor();
  await editor.palette('Trainstash: Run a Job');
  await untilRow(editor, /small #1/, /\d+% · val_loss/);
  await untilStatusBar(editor, /small #1 \d+% · [\d.]+ · /);
  await editor.page.locator('.terminal-wrapper').first().waitFor();
  await editor.shot('running');

  kill(fixture.daemonPid(), 'SIGKILL');
  const client = await until('a daemon answers again', () =>
    connect({ name: 'test', build: BUILD, dist: null, env: fixture.env }).catch(() => null),
  );
  const { run } = await show(client, fixture, '1');
  await untilStep(client, fixture, '1', run.step + 3);
  await editor.reload();
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /\d+% · val_loss/);

  await editor.rowAction(editor.row(/small #1/), 'Pause');
  await untilRow(editor, /small #1/, /paused at \d+/);
  // Without loss and time left: it is drawn once a second, and until then a click would show the run.
  await untilStatusBar(editor, /small #1 \d+%\s*$/);
  await editor.shot('paused');
  await editor.status.click();
  await untilStatus(client, fixture, '1', 'running');
  await untilStatusBar(editor, /small #1 \d+% · /);

  // Its checkpoints are rows below it.
  await editor.row(/small #1/).click();
  await editor.row(/step \d+/).waitFor();
  await editor.shot('checkpoints');
  await editor.rowAction(editor.row(/small #1/), 'Stop');
  await untilRow(editor, /small #1/, /stopped at/);
  expect(editor.pageErrors).toEqual([]);
});

test('what differs from the checkpoint is shown before a resume, and nothing starts until it is accepted', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 50 });
  await untilStep(client, fixture, run.id, 5);
  await client.request(runPause, { root: fixture.root, run: run.id });
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /paused at/);
  appendFileSync(join(fixture.root, 'small.ts'), '\n// changed\n');

  await editor.rowAction(editor.row(/small #1/), 'Resume');
  const list = editor.page.locator('.quick-input-widget');
  await list.getByText('1 thing differs from the checkpoint').waitFor();
  await list.getByText('code: small.ts').waitFor();
  await editor.shot('preflight');
  expect((await show(client, fixture, run.id)).run.sessions).toBe(1);
  await editor.page.keyboard.press('Escape');
  await list.waitFor({ state: 'hidden' });
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');

  await editor.rowAction(editor.row(/small #1/), 'Resume');
  await list.getByText('Resume all the same').click();
  await untilStatus(client, fixture, run.id, 'completed');
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
});

test('the tree follows HEAD; a daemon that was stopped on purpose stays stopped until asked for', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await editorOf(fixture);
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
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const plain = join(fixture.folder, 'plain');
  mkdirSync(plain);
  writeFileSync(join(plain, 'train.py'), 'print(1)\n');
  gitProject(plain);
  const editor = await openEditor(parts, { folder: plain, state: join(fixture.folder, 'state') });
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

test('switching the branch asks once, moves files, shows what is stashed and puts it back', async (context) => {
  if (!parts) return context.skip();
  const repository = await makeRepository({});
  const { fixture, git } = repository;
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write('checkpoints/last.pt', 'main');
  await repository.sync();
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await editor.page.getByText('No runs yet').waitFor();
  git('switch', '-q', 'other');
  const question = await editor.notification(/should such files follow/);
  await editor.shot('ask');
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  await question.getByRole('button', { name: 'Follow Branches' }).click();
  await editor.notification(/1 file of main stashed/);
  expect(repository.read('checkpoints/last.pt')).toBeNull();

  await editor.page.getByRole('button', { name: 'Stashes Section' }).click();
  const row = editor.row(/^stash of main/);
  await row.waitFor();
  expect(await editor.textOf(row)).toMatch(/^main comes back by itself · 1 file · 4 B/);
  await editor.shot('stashes');
  git('switch', '-q', 'main');
  await editor.notification(/1 file of main back in place/);
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  await row.waitFor({ state: 'detached' });
  expect(editor.pageErrors).toEqual([]);
});

test('files wait for a run that writes them; it is paused from the toast, and resumed by one when HEAD is back', async (context) => {
  if (!parts) return context.skip();
  const repository = await makeRepository({
    follow: true,
    config: { jobs: { small: { module: 'small.ts', params: { slow: 200, epochs: 30 }, files: ['checkpoints'] } } },
  });
  const { fixture, git, client } = repository;
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write('checkpoints/last.pt', 'main');
  await repository.sync();
  const run = await startSmall(client, fixture);
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /\d+% · val_loss/);
  git('switch', '-q', 'other');
  const waits = editor.toast(/small #1/).filter({ hasText: 'Pause and Free the Device' });
  await waits.waitFor();
  await editor.shot('switch-waits');
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  await waits.getByRole('button', { name: 'Pause and Free the Device' }).click();
  await untilStatus(client, fixture, run.id, 'paused');
  await until('its files have left', () => repository.read('checkpoints/last.pt') === null);
  git('switch', '-q', 'main');
  const offer = await editor.notification(/was paused when HEAD left it/);
  await editor.shot('switch-back');
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  await offer.getByRole('button', { name: 'Resume' }).click();
  await untilStatus(client, fixture, run.id, 'running');
  await untilRow(editor, /small #1/, /\d+% · val_loss/);
  expect(editor.pageErrors).toEqual([]);
});

test('a mistake in trainstash.json is marked where it is', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture({ config: { jobs: { small: { modul: 'small.ts' } } } });
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await editor.page.getByText('No runs yet').waitFor();
  await editor.quickOpen('trainstash.json');
  await editor.page.locator('.squiggly-error, .squiggly-warning').first().waitFor();
  await editor.palette('Problems: Focus on Problems View');
  await editor.shot('config');
  const problems = editor.page.locator('.markers-panel-container');
  await problems.getByText('the job "small" needs either "run"').waitFor();
  // What the schema itself has to say of it is a mistake of ours.
  await until('the schema has had its say', async () => (await problems.getByText('[Ln').count()) > 0);
  expect(await problems.getByText('$ref').count()).toBe(0);
  // Who starts a job all the same is told, and the page that explains it is one click away.
  await editor.palette('Trainstash: Run a Job');
  const refused = editor.toast(/trainstash\.json/).filter({ hasText: 'What Is This?' });
  await refused.getByRole('button', { name: 'What Is This?' }).click();
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

test('a run is exported from its row, in a format that is chosen, to where it is asked for', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
  await editor.rowMenu(editor.row(/small #1/), 'Export…');
  const list = editor.page.locator('.quick-input-widget');
  await list.getByText('its weights are laid out in another way than PyTorch’s').waitFor();
  await editor.shot('export-formats');
  await list.getByText('safetensors', { exact: true }).click();
  // Where VS Code's own dialog cannot be had, as in a browser, it asks for a path in the same place.
  await list.getByText('Export small #1 as safetensors').waitFor();
  await editor.shot('export-where');
  await editor.page.keyboard.press('Enter');
  await editor.notification(/Exported [\d.]+ kB/);
  await editor.shot('exported');
  // And opened, it says what it holds.
  const [name] = readdirSync(fixture.root).filter((file) => file.endsWith('.safetensors'));
  await editor.quickOpen(name!);
  const page = await editor.webview(/\d+ tensors/);
  await page.getByRole('row', { name: /0\.Conv2D\/kernel \[3, 3, 1, 4\] F32/ }).waitFor();
  await page.getByRole('button', { name: 'Smallest, largest, mean' }).click();
  await page.getByRole('columnheader', { name: 'Mean' }).waitFor();
  await editor.shot('checkpoint-file');
  expect(name).toMatch(/^small_epoch_0003_val_loss_[\d.]+\.safetensors$/);
  expect(existsSync(join(fixture.root, `${name}.trainstash.json`))).toBe(true);
});

test('the dashboard lists runs, draws those that are chosen, follows a live one, and two are compared', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture, { learningRate: 0.02 })).id, 'completed');
  appendFileSync(join(fixture.root, 'small.ts'), '\n// another thought\n');
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #2/, /^small #2/);
  await editor.palette('Trainstash: Open the Dashboard');
  const page = await editor.webview(/2 runs/);
  const grid = page.getByRole('grid');
  await grid.getByRole('row', { name: /small #1/ }).click();
  await grid.getByRole('row', { name: /small #2/ }).click();
  const chart = page.locator('.chart', { hasText: 'val_loss' });
  await chart.locator('canvas').waitFor();
  await editor.shot('dashboard');
  // Dragged over, a part of the axis is shown; a double click shows all again.
  const first = page.locator('.chart').first();
  const plot = first.locator('.u-over');
  const box = (await plot.boundingBox())!;
  const inside = (share: number, height = 0.5) =>
    editor.page.mouse.move(box.x + box.width * share, box.y + box.height * height);
  // Where the pointer is at the left end, the legend says which step that is.
  const leftmost = async () => {
    await inside(0.01);
    return Number(/step\s*(\d+)/.exec((await first.locator('.u-legend').innerText()).replaceAll(/\s+/g, ' '))?.[1]);
  };
  await inside(0.3);
  await editor.page.mouse.down();
  await inside(0.7);
  await editor.page.mouse.up();
  await until('it is zoomed', async () => (await leftmost()) > 4);
  await editor.shot('zoomed');
  await editor.page.mouse.dblclick(box.x + box.width * 0.5, box.y + box.height * 0.5);
  await until('all is shown again', async () => (await leftmost()) === 1);
  // A checkpoint on the axis is asked what to do with: the last is at the right end.
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
  await client.request(runPause, { root: fixture.root, run: live.id });
  await grid.getByRole('row', { name: /small #3.*paused/ }).waitFor();
  await page.getByRole('button', { name: 'Clear' }).click();
  await grid.getByRole('row', { name: /small #3/ }).click();
  await page.getByRole('button', { name: 'Resume' }).click();
  await grid.getByRole('row', { name: /small #3.*running/ }).waitFor();
  await page.getByRole('button', { name: 'Pause' }).click();
  await grid.getByRole('row', { name: /small #3.*paused/ }).waitFor();
  // Shift takes all between, whichever way.
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

  // Both pages come back with the window, about what they were about.
  await until('the editor has written down what is open', () => editor.hasStored('sides'));
  await editor.reload();
  await editor.page.getByRole('tab', { name: /small #1@18 ↔ small #2@18(?! \()/ }).click();
  await (await editor.webview('Params')).getByText(/tensors changed/).waitFor();
  await editor.page.getByRole('tab', { name: 'Trainstash: project' }).click();
  await (await editor.webview(/3 runs/)).locator('.chart', { hasText: 'val_loss' }).locator('canvas').waitFor();
  expect(editor.pageErrors).toEqual([]);
});

test('a Python file is run from its editor, and what is typed into its terminal reaches it; Ctrl-C asks first', async (context) => {
  if (!parts || !PYTHON) return context.skip();
  const fixture = makeFixture({ config: { jobs: {} } });
  const script = "answer = input('? ')\nprint('ANSWER', answer, flush=True)\ninput()\n";
  writeFileSync(join(fixture.root, 'ask.py'), script);
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await editor.quickOpen('ask.py');
  await editor.palette('Trainstash: Run with Trainstash');
  await untilRow(editor, /ask #1/, /running|step/);
  const client = await openProject(fixture);
  const { run } = await show(client, fixture, '1');
  const printed = async () => (await client.request(logRead, { root: fixture.root, run: run.id, offset: 0 })).text;
  await until('it asks', async () => (await printed()).includes('? '));
  await editor.page.locator('.terminal-wrapper.active .xterm-helper-textarea').focus();
  await editor.page.keyboard.type('forty-two');
  await editor.page.keyboard.press('Enter');
  await until('it has the answer', async () => (await printed()).includes('ANSWER forty-two'));
  await editor.page.keyboard.press('Control+c');
  const dialog = editor.page.locator('.monaco-dialog-box');
  await dialog.getByText('Send Ctrl-C to ask #1?').waitFor();
  await editor.shot('ctrl-c');
  expect((await show(client, fixture, '1')).run.status).toBe('running');
  await dialog.getByRole('button', { name: 'Send Ctrl-C' }).click();
  await untilStatus(client, fixture, run.id, 'failed');
  expect((await show(client, fixture, '1')).run.reason).toContain('KeyboardInterrupt');
  await editor.page.locator('.codelens-decoration', { hasText: 'Run' }).waitFor();
  // It lived too short to be more than a draft, which the tree folds away.
  await editor.palette('Trainstash: Keep as Job…');
  await editor.page.locator('.quick-input-widget', { hasText: 'Keep the command of ask #1 as a job' }).waitFor();
  await editor.page.keyboard.press('Enter');
  await until('it is a job', () =>
    readFileSync(join(fixture.root, 'trainstash.json'), 'utf8').includes('"python ask.py"'),
  );
  await editor.shot('kept');
  expect(editor.pageErrors).toEqual([]);
});

test('what is kept says why, old code comes back beside the project, a job runs with other params, a walkthrough shows the first steps', async (context) => {
  if (!parts) return context.skip();
  const config = { jobs: { small: { module: 'small.ts', params: { learningRate: 0.01 }, keep: { last: 2 } } } };
  const fixture = makeFixture({ config });
  const client = await openProject(fixture);
  const run = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  await client.request(checkpointTag, { root: fixture.root, checkpoint: run.lastCheckpoint!.id, tag: 'paper' });
  const before = readFileSync(join(fixture.root, 'small.ts'), 'utf8');
  appendFileSync(join(fixture.root, 'small.ts'), '\n// another thought\n');
  const editor = await editorOf(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
  const list = editor.page.locator('.quick-input-widget');
  await editor.palette('Trainstash: Clean Up…');
  await list.getByText(/tagged paper/).waitFor();
  await editor.shot('clean-up');
  await list.getByText('small #1').click();
  await list.getByText('small #1: delete checkpoints').waitFor();
  await editor.shot('clean-up-run');
  await editor.page.keyboard.press('Escape');

  await editor.rowMenu(editor.row(/small #1/), 'Original Code in a New Folder…');
  await list.getByText('The code of small #1, into a new folder in…').waitFor();
  // It writes the folder that it starts in a moment after it is there, over what was typed.
  await until('the folder is entered', async () => {
    await list.locator('input.input').fill(`${fixture.folder}/`);
    await editor.page.waitForTimeout(500);
    return list.getByText('project', { exact: true }).isVisible();
  });
  await list.getByRole('button', { name: 'Restore Here' }).click();
  await editor.notification(/files in/);
  await editor.shot('original-code');
  const [folder] = readdirSync(fixture.folder).filter((name) => name.startsWith('small-1-'));
  expect(readFileSync(join(fixture.folder, folder!, 'small.ts'), 'utf8')).toBe(before);

  await editor.page.getByRole('button', { name: 'Jobs Section' }).click();
  await editor.row(/^job small/).click();
  await editor.row(/^learningRate/).waitFor();
  await editor.shot('jobs');
  await editor.rowMenu(editor.row(/^job small/), 'Run with Params…');
  await list.getByText('Run small with other params').waitFor();
  await list.locator('input.input').fill('learningRate=0.5 epochs=1');
  await editor.page.keyboard.press('Enter');
  await untilRow(editor, /small #2/, /^small #2 val_loss/);
  expect((await show(client, fixture, '2')).run.params).toMatchObject({ learningRate: 0.5, epochs: 1 });

  await editor.palette('Open Walkthrough');
  await list.locator('.monaco-list-row', { hasText: 'Trainstash' }).click();
  await editor.page.locator('.gettingStartedContainer', { hasText: 'Kill it, and resume it' }).waitFor();
  await editor.shot('walkthrough');
  expect(editor.pageErrors).toEqual([]);
});

test('in a folder that is not trusted the history is shown, and nothing can be started', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const editor = await openEditor(parts, {
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

  // A head that moves starts nothing either, and is shown.
  execFileSync('git', ['switch', '-qc', 'idea'], { cwd: fixture.root });
  await untilRow(editor, /^branch idea/, /idea current · 0 runs/);
  expect((await client.request(runList, { root: fixture.root, drafts: true })).runs).toHaveLength(1);
  expect(editor.pageErrors).toEqual([]);
});

test('two folders in one window are two projects', async (context) => {
  if (!parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const other = join(fixture.folder, 'other');
  cpSync(fixture.root, other, { recursive: true, filter: (source) => !source.includes('.git') });
  gitProject(other);
  const workspace = join(fixture.folder, 'both.code-workspace');
  writeFileSync(workspace, JSON.stringify({ folders: [{ path: fixture.root }, { path: other }] }));
  const editor = await openEditor(parts, { workspace, folder: fixture.root, state: join(fixture.folder, 'state') });
  await editor.showTrainstash();
  await editor.row(/^project project/).waitFor();
  await editor.row(/^project other/).waitFor();
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
  const list = editor.page.locator('.quick-input-widget');
  // A list is closed by whatever takes the focus, as a window does that is still starting.
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
