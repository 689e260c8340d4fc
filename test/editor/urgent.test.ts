/** Urgent runs from the editor. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runStart } from '../../protocol/messages/run.ts';
import { makeFixture, openProject, shellEnvironment, show, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { untilRow, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

/** Script that saves nothing, and ends when its file exists. */
const HOLDS = `
import os, sys, time
while not os.path.exists(sys.argv[1]): time.sleep(0.05)
`;

test('an urgent run says what the others would lose, and interrupts them only after a yes', async (context) => {
  if (!workbench.parts || !PYTHON) return context.skip();
  const mayEnd = join(temporaryFolder(), 'end');
  const jobs = { holds: { run: [PYTHON, 'holds.py', mayEnd] }, hotfix: { run: [PYTHON, '-c', 'print(1)'] } };
  const fixture = makeFixture({ config: { jobs } });
  writeFileSync(join(fixture.root, 'holds.py'), HOLDS);
  const client = await openProject(fixture);
  const asked = { root: fixture.root, job: 'holds', params: {}, environment: shellEnvironment() };
  const first = await client.request(runStart, asked);
  await until('it is known', async () => {
    const { run } = await show(client, fixture, first.id);
    return run.status === 'running' && !run.cooperative;
  });
  const editor = await workbench.open(fixture);
  await editor.showTrainstash();
  await untilRow(editor, /holds #1/, /running/);
  const list = editor.page.locator('.quick-input-widget');
  const dialog = editor.page.locator('.monaco-dialog-box');
  const ask = async (answer: string) => {
    await editor.palette('Trainstash: Run Urgently…');
    await list.getByText('hotfix', { exact: true }).click();
    await dialog.getByText('Interrupt 1 run for hotfix?').waitFor();
    await dialog.getByText('cannot save on request and has no checkpoint').waitFor();
    await editor.shot('run-urgently');
    await dialog.getByRole('button', { name: answer }).click();
    await dialog.waitFor({ state: 'hidden' });
  };
  await ask('Cancel');
  expect((await show(client, fixture, first.id)).run).toMatchObject({ status: 'running', sessions: 1 });
  await expect(show(client, fixture, '2')).rejects.toMatchObject({ code: 'notFound' });
  await ask('Interrupt');
  await until('it is there', () =>
    show(client, fixture, '2').then(
      () => true,
      () => false,
    ),
  );
  await untilStatus(client, fixture, '2', 'completed');
  writeFileSync(mayEnd, '');
  const done = await untilStatus(client, fixture, first.id, 'completed');
  expect(done.notices.map(({ code }) => code)).toContain('interrupted');
  expect(editor.pageErrors).toEqual([]);
});
