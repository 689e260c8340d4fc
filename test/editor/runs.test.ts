/** Runs from the side bar, from a file and from a job: started, paused, resumed, kept. */
import { appendFileSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../client/connect.ts';
import { checkpointTag } from '../../protocol/messages/checkpoint.ts';
import { logRead } from '../../protocol/messages/metrics.ts';
import { runPause } from '../../protocol/messages/run.ts';
import {
  BUILD,
  kill,
  makeFixture,
  openProject,
  show,
  startHeld,
  startSmall,
  untilStatus,
  untilStep,
} from '../support/daemon.ts';
import { did } from '../support/editor.ts';
import { environmentsMade } from '../support/environments-made.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { hasTurn } from '../support/sample.ts';
import { realTensorFlow } from '../support/tensorflow.ts';
import { openRunPage, untilRow, untilStatusBar, useWorkbench } from '../support/workbench.ts';

await environmentsMade();

const workbench = useWorkbench();

test('a run is started, paused, outlives a killed daemon and a reloaded window, and is resumed by one click', async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture({
    config: {
      jobs: { small: { module: 'small.ts', params: { slow: 300, epochs: 300 }, checkpoint: { every: '4 steps' } } },
    },
  });
  const editor = await workbench.open(fixture);
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
  // Waits for a redraw without loss and time left: the bar is drawn once a second, and a click before it would show the run.
  await untilStatusBar(editor, /small #1 \d+%\s*$/);
  await editor.shot('paused');
  await editor.status.click();
  await untilStatus(client, fixture, '1', 'running');
  await untilStatusBar(editor, /small #1 \d+% · /);

  // A click opens its page beside the rows; its checkpoints are rows below it.
  const page = await openRunPage(editor, /small #1/, /Checkpoints/);
  await page.locator('.badge', { hasText: 'running' }).waitFor();
  await page.locator('.chart', { hasText: 'Processors' }).locator('canvas').waitFor();
  await page.locator('.chart', { hasText: 'Free on the disk' }).scrollIntoViewIfNeeded();
  await editor.shot('machine');
  await editor.page.keyboard.press('ArrowRight');
  await editor.row(/step \d+/).waitFor();
  await editor.shot('checkpoints');
  // A run of a job is known above the job's script, too.
  await editor.quickOpen('small.ts');
  const lens = (text: string | RegExp) => editor.page.locator('.codelens-decoration', { hasText: text });
  await lens('Run small').waitFor();
  await editor.rowAction(editor.row(/small #1/), 'Stop');
  await untilRow(editor, /small #1/, /stopped at/);
  await lens(/Resume at \d+/).waitFor();
  await editor.shot('lens-of-a-job');
  // Keys act on the selected row.
  await editor.row(/small #1/).click();
  await editor.page.keyboard.press('F2');
  await editor.page.locator('.quick-input-widget', { hasText: 'Name of the run' }).locator('input.input').fill('mine');
  await editor.page.keyboard.press('Enter');
  await untilRow(editor, /mine/, /stopped at/);
  await editor.page.keyboard.press('Delete');
  await editor.notification(/mine moved to the trash/);
  expect(editor.pageErrors).toEqual([]);
});

test('what differs from the checkpoint is shown before a resume, and nothing starts until it is accepted', {
  skip: !hasTurn('what a resume asks', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 5);
  await client.request(runPause, { root: fixture.root, run: run.id });
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /paused at/);
  appendFileSync(join(fixture.root, 'small.ts'), '\n// changed\n');

  await editor.rowAction(editor.row(/small #1/), 'Resume');
  const list = editor.page.locator('.quick-input-widget');
  await list.getByText('1 thing differs from the checkpoint').waitFor();
  await list.getByText('code: small.ts').waitFor();
  await list.getByText('code: small.ts').click();
  await editor.page.getByText('// changed').first().waitFor();
  await list.getByText('1 thing differs from the checkpoint').waitFor();
  await editor.shot('preflight');
  expect((await show(client, fixture, run.id)).run.sessions).toBe(1);
  await editor.page.keyboard.press('Escape');
  await list.waitFor({ state: 'hidden' });
  expect((await show(client, fixture, run.id)).run.status).toBe('paused');

  await editor.rowAction(editor.row(/small #1/), 'Resume');
  await list.getByText('Resume Anyway').click();
  await untilStatus(client, fixture, run.id, 'completed');
  await untilRow(editor, /small #1/, /^small #1 val_loss/);
});

test('the open log of a run goes on when the run is resumed', {
  skip: !hasTurn('terminals', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run, release } = await startHeld(client, fixture, 7);
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /val_loss/);
  await editor.rowAction(editor.row(/small #1/), 'Show Log');
  const printed = editor.page.locator('.terminal-wrapper.active .xterm-rows');
  await printed.waitFor();
  await client.request(runPause, { root: fixture.root, run: run.id });
  await editor.shot('log-ended');
  const hasPrinted = (text: string) =>
    until(
      `the log says ${text}`,
      async () => (await printed.innerText()).replaceAll('\u00a0', ' ').includes(text) || null,
    );
  await hasPrinted('[the run has ended]');

  await untilStatus(client, fixture, run.id, 'paused');
  release(3);
  await editor.rowAction(editor.row(/small #1/), 'Resume');
  await hasPrinted('[the run goes on]');
  await untilStep(client, fixture, run.id, 10);
  await client.request(runPause, { root: fixture.root, run: run.id });
  await editor.shot('log-goes-on');
  await until('the log says that the run has ended again', async () => {
    const text = (await printed.innerText()).replaceAll('\u00a0', ' ');
    return text.lastIndexOf('[the run has ended]') > text.indexOf('[the run goes on]') || null;
  });
});

test('a run whose backend is gone can continue on another one, with a warning about the consequences', {
  skip: !hasTurn('what a resume asks', 1, 2),
}, async (context) => {
  const tensorflow = realTensorFlow();
  if (!workbench.parts || !tensorflow) return context.skip();
  const fixture = makeFixture();
  const environment = join(fixture.root, '.venv');
  symlinkSync(join(tensorflow.folder, '../../../..'), environment);
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 5, {}, { backend: 'tensorflow' });
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');
  rmSync(environment);
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /paused at/);

  await editor.rowAction(editor.row(/small #1/), 'Resume');
  const offer = await editor.notification(/tensorflow cannot be used here/);
  await editor.shot('backend-gone');
  await offer.getByRole('button', { name: 'Continue on Another Backend' }).click();
  const list = editor.page.locator('.quick-input-widget');
  await list.getByText('backend', { exact: true }).waitFor();
  await list.getByText('Resume Anyway').click();
  await untilStatus(client, fixture, run.id, 'completed');
  const { run: done } = await show(client, fixture, run.id);
  expect(done.backend).toBe('wasm');
  expect(done.notices.map(({ code }) => code)).toContain('continuesFrom');
});

test('a Python file is run from its editor, and what is typed into its terminal reaches it; Ctrl-C asks first', {
  skip: !hasTurn('terminals', 1, 2),
}, async (context) => {
  if (!workbench.parts || !PYTHON) return context.skip();
  const fixture = makeFixture({ config: { jobs: {} } });
  const script = "answer = input('? ')\nprint('ANSWER', answer, flush=True)\ninput()\n";
  writeFileSync(join(fixture.root, 'ask.py'), script);
  const editor = await workbench.open(fixture);
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
  await untilStatus(client, fixture, run.id, 'stopped');
  expect((await show(client, fixture, '1')).run.reason).toBe('interrupted by SIGINT (Ctrl-C)');
  await editor.page.locator('.codelens-decoration', { hasText: 'Run' }).waitFor();
  await editor.palette('Trainstash: Keep as Job…');
  await editor.page.locator('.quick-input-widget', { hasText: 'Keep the command of ask #1 as a job' }).waitFor();
  await editor.page.keyboard.press('Enter');
  await until('it is a job', () =>
    readFileSync(join(fixture.root, 'trainstash.json'), 'utf8').includes('"python ask.py"'),
  );
  await editor.shot('kept');
  expect(editor.pageErrors).toEqual([]);
});

test('what is kept says why, old code comes back beside the project, a job runs with other params', async (context) => {
  if (!workbench.parts) return context.skip();
  const config = { jobs: { small: { module: 'small.ts', params: { learningRate: 0.01 }, keep: { last: 2 } } } };
  const fixture = makeFixture({ config });
  const client = await openProject(fixture);
  const run = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  await client.request(checkpointTag, { root: fixture.root, checkpoint: run.lastCheckpoint!.id, tag: 'paper' });
  const before = readFileSync(join(fixture.root, 'small.ts'), 'utf8');
  appendFileSync(join(fixture.root, 'small.ts'), '\n// another thought\n');
  const editor = await workbench.open(fixture);
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

  await editor.rowMenu(editor.row(/small #1/), 'Restore Code to a New Folder…');
  await list.getByText('Write the code of small #1 into a new folder in…').waitFor();
  // A moment after it opens it fills in its start folder, over any text typed before.
  const written = () => readdirSync(fixture.folder).find((name) => name.startsWith('small-1-'));
  const restoreHere = list.getByRole('button', { name: 'Restore Here' });
  const folder = await until('the folder is written', async () => {
    if (!(await restoreHere.isVisible())) return written();
    if (!(await did(list.locator('input.input').fill(`${fixture.folder}/`, { timeout: 1_000 })))) return false;
    await editor.page.waitForTimeout(500);
    if (await list.getByText('project', { exact: true }).isVisible()) await did(restoreHere.click({ timeout: 1_000 }));
    return false;
  });
  await editor.notification(/files in/);
  await editor.shot('original-code');
  expect(readFileSync(join(fixture.folder, folder, 'small.ts'), 'utf8')).toBe(before);

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
  expect(editor.pageErrors).toEqual([]);
});
