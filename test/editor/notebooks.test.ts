/** A notebook in VS Code's own editor, with a real kernel behind a small controller. In the full run only. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { runList } from '../../protocol/messages/run.ts';
import { frameworkPython } from '../../scripts/python-environments.ts';
import { makeFixture, openProject } from '../support/daemon.ts';
import { editorParts, openEditor } from '../support/editor.ts';
import { until } from '../support/folder.ts';
import { CELLS } from '../support/notebook/cells.ts';
import { packController } from '../support/notebook/controller.ts';
import { FULL } from '../support/sample.ts';

const { python } = FULL ? frameworkPython('notebooks', true) : { python: null };

test.skipIf(!python)(
  'a cell has the status of its run, a badge, and a lens; Interrupt pauses, and the cell goes on',
  async (context) => {
    const parts = await editorParts();
    if (!parts) return context.skip();
    const fixture = makeFixture({ config: { jobs: {} } });
    const cells = CELLS.map((source) => ({
      cell_type: 'code',
      metadata: {},
      source,
      outputs: [],
      execution_count: null,
    }));
    const metadata = { kernelspec: { name: 'python3', display_name: 'Python 3' }, language_info: { name: 'python' } };
    writeFileSync(
      join(fixture.root, 'digits.ipynb'),
      JSON.stringify({ nbformat: 4, nbformat_minor: 4, metadata, cells }),
    );
    const others = [await packController(fixture.folder, python!)];
    const client = await openProject(fixture);
    const editor = await openEditor(parts, { folder: fixture.root, state: join(fixture.folder, 'state'), others });
    const { page } = editor;
    await page.keyboard.press('Control+p');
    await page.keyboard.type('digits.ipynb');
    await page
      .getByRole('option', { name: /digits\.ipynb/ })
      .first()
      .waitFor();
    await page.keyboard.press('Enter');
    await page.locator('.notebookOverlay .cell-list-container .code-cell-row').nth(1).waitFor();
    await editor.palette('Notebook: Run All');
    const choice = page.getByRole('option', { name: /Test Kernel/ });
    const newest = async () => (await client.request(runList, { root: fixture.root, drafts: true })).runs[0];
    await until(
      'the notebook trains',
      async () => {
        if (await choice.isVisible()) await page.keyboard.press('Enter');
        return ((await newest())?.step ?? 0) > 2;
      },
      120_000,
    );
    const status = page.locator('.cell-statusbar-container', { hasText: 'digits #1' });
    await until(
      'the cell says how its run is',
      async () => /digits #1 running · .*left/.test(await status.innerText().catch(() => '')),
      60_000,
    );
    await page.locator('.codelens-decoration', { hasText: 'digits #1 running' }).waitFor();
    await editor.shot('notebook-running');
    await editor.palette('Notebook: Interrupt');
    await until('it is paused', async () => (await newest())?.status === 'paused', 60_000);
    await until('the cell says so', async () => /digits #1 paused at/.test(await status.innerText().catch(() => '')));
    await page.locator('.codicon-notebook-state-error').first().waitFor();
    await editor.shot('notebook-paused');
    const { step } = (await newest())!;
    writeFileSync(join(fixture.root, 'go on'), '');
    await page.locator('.notebookOverlay .code-cell-row').nth(1).hover();
    await page.locator('.notebookOverlay .code-cell-row').nth(1).locator('.run-button-container a').first().click();
    await editor.shot('notebook-again');
    await until('it is completed', async () => (await newest())?.status === 'completed', 60_000);
    expect(await newest()).toMatchObject({ name: 'digits #1', step: 1_000, sessions: 2 });
    expect(step).toBeLessThan(1_000);
    await until('the cell says so', async () => /digits #1 completed/.test(await status.innerText().catch(() => '')));
    await editor.shot('notebook-completed');
  },
  400_000,
);
