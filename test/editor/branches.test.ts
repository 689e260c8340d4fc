/** Files that follow the branch, from a user's view. */
import { expect, test } from 'vitest';
import { startSmall, untilStatus } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { makeRepository } from '../support/repository.ts';
import { hasTurn } from '../support/sample.ts';
import { untilRow, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('switching the branch asks once, moves files, shows what is stashed and puts it back', {
  skip: !hasTurn('branches', 0, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const repository = await makeRepository({});
  const { fixture, git } = repository;
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write('checkpoints/last.pt', 'main');
  await repository.sync();
  const editor = await workbench.open(fixture);
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
  expect(await editor.textOf(row)).toMatch(/^main returns with its branch · 1 file · 4 B/);
  await editor.shot('stashes');
  git('switch', '-q', 'main');
  await editor.notification(/1 file of main back in place/);
  expect(repository.read('checkpoints/last.pt')).toBe('main');
  await row.waitFor({ state: 'detached' });
  expect(editor.pageErrors).toEqual([]);
});

test('files wait for a run that writes them; it is paused from the toast, and resumed by one when HEAD is back', {
  skip: !hasTurn('branches', 1, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const repository = await makeRepository({
    follow: true,
    config: { jobs: { small: { module: 'small.ts', params: { slow: 200, epochs: 300 }, files: ['checkpoints'] } } },
  });
  const { fixture, git, client } = repository;
  git('branch', 'other');
  git('commit', '-q', '--allow-empty', '-m', 'on');
  repository.write('checkpoints/last.pt', 'main');
  await repository.sync();
  const run = await startSmall(client, fixture);
  const editor = await workbench.open(fixture);
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
