/** A folder with a store that came from elsewhere, in the editor: it can be looked at, and asks before it is used. */
import { cpSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { daemonStop } from '../../protocol/messages/daemon.ts';
import { runPause } from '../../protocol/messages/run.ts';
import { isAlive, makeFixture, openProject, startHeld, untilStatus } from '../support/daemon.ts';
import { openEditor } from '../support/editor.ts';
import { until } from '../support/folder.ts';
import { stateOf } from '../support/hostile-store.ts';
import { hasTurn } from '../support/sample.ts';
import { untilRow, useWorkbench } from '../support/workbench.ts';

const workbench = useWorkbench();

test('its history is shown; using it asks first, and a no changes nothing', {
  skip: !hasTurn('trust', 1, 2),
}, async (context) => {
  if (!workbench.parts) return context.skip();
  const root = await copiedProject();
  const state = join(root, '../other-state');
  mkdirSync(state);
  const before = stateOf(root, ['.git/trainstash']);
  const editor = await openEditor(workbench.parts, { folder: root, state });
  await editor.showTrainstash();
  await untilRow(editor, /small #1/, /paused at \d+/);
  await editor.shot('foreign-looked-at');
  await editor.rowAction(editor.row(/small #1/), 'Resume');
  const dialog = editor.page.getByRole('dialog');
  await dialog.getByText('made elsewhere').first().waitFor();
  await editor.shot('foreign-question');
  await editor.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect(stateOf(root, ['.git/trainstash'])).toEqual(before);
  await untilRow(editor, /small #1/, /paused at \d+/);
});

/** Makes a copy of a project with a paused run, as somebody hands it over. */
async function copiedProject(): Promise<string> {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run } = await startHeld(client, fixture, 5);
  await client.request(runPause, { root: fixture.root, run: run.id });
  await untilStatus(client, fixture, run.id, 'paused');
  const { pid } = client.daemon;
  await client.request(daemonStop, {});
  await until('the daemon is gone', () => !isAlive(pid));
  const copy = join(fixture.folder, 'copy');
  cpSync(fixture.root, copy, { recursive: true });
  return copy;
}
