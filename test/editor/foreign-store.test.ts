/** A folder with a store that came from elsewhere, in the editor: it can be looked at, and asks before it is used. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openEditor } from '../support/editor.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeVictim, stateOf } from '../support/hostile-store.ts';
import { useWorkbench } from '../support/workbench.ts';

vi.setConfig({ testTimeout: 240_000 });

const workbench = useWorkbench();

test('its history is shown; using it asks first, and a no changes nothing', async (context) => {
  if (!workbench.parts) return context.skip();
  const folder = temporaryFolder();
  const { root } = await makeVictim(folder);
  const state = join(folder, 'state');
  mkdirSync(state);
  const before = stateOf(root, ['.git/trainstash']);
  const editor = await openEditor(workbench.parts, { folder: root, state });
  await editor.showTrainstash();
  const row = editor.page.getByRole('treeitem', { name: /#1/ }).first();
  await row.waitFor();
  await editor.shot('foreign-looked-at');
  await editor.rowAction(row, 'Resume');
  const dialog = editor.page.getByRole('dialog');
  await dialog.getByText('made elsewhere').first().waitFor();
  await editor.shot('foreign-question');
  await editor.page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'hidden' });
  expect(stateOf(root, ['.git/trainstash'])).toEqual(before);
  expect(await row.isVisible()).toBe(true);
});
