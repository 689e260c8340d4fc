/** A notebook in the real JupyterLab in a browser: its badge, Interrupt, and the cell that is run again. In the full run only. */
import { spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Page } from 'playwright-core';
import { describe, expect, test } from 'vitest';
import { chromium as findBrowser } from '../../scripts/editor.ts';
import { jupyterLab } from '../../scripts/python-environments.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { CELLS } from '../support/notebook/cells.ts';
import { PACKAGE } from '../support/python.ts';
import { freePort } from '../support/s3-servers.ts';
import { FULL } from '../support/sample.ts';

const lab = FULL ? jupyterLab(true) : { python: null };
const browser = FULL ? findBrowser() : null;

async function openNotebook(python: string, folder: string): Promise<Page> {
  const port = await freePort();
  const words = ['--no-browser', `--port=${port}`, '--IdentityProvider.token=t', `--ServerApp.root_dir=${folder}`];
  const env = { ...process.env, HOME: folder, PYTHONPATH: PACKAGE, JUPYTER_CONFIG_DIR: folder };
  const root = process.getuid?.() === 0 ? ['--allow-root'] : [];
  const server = spawn(python, ['-m', 'jupyterlab', ...words, ...root], { cwd: folder, env, stdio: 'ignore' });
  afterwards(() => void server.kill('SIGTERM'));
  const url = `http://127.0.0.1:${port}`;
  const answers = () =>
    fetch(`${url}/api?token=t`).then(
      ({ ok }) => ok,
      () => false,
    );
  await until('JupyterLab answers', answers, 120_000);
  const opened = await chromium.launch({ executablePath: browser!, headless: true, args: ['--no-sandbox'] });
  afterwards(() => opened.close());
  const page = await opened.newPage({ viewport: { width: 1200, height: 800 } });
  page.setDefaultTimeout(60_000);
  await page.goto(`${url}/lab/tree/train.ipynb?token=t`);
  await page.locator('.jp-Notebook .jp-Cell').nth(1).waitFor();
  await untilIdle(page);
  return page;
}

/** Waits for the end of all cells: those that are queued when one fails are not run. */
function untilIdle(page: Page): Promise<unknown> {
  const idle = page.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]');
  return until('the kernel is idle', () => idle.count().then(Boolean), 60_000);
}

async function runCell(page: Page, index: number): Promise<void> {
  await page.locator('.jp-Notebook .jp-CodeCell .jp-Editor').nth(index).click();
  await page.keyboard.press('Control+Enter');
}

describe.skipIf(!lab.python || !browser)('in JupyterLab', () => {
  test('a cell shows its badge, Interrupt pauses, and the cell goes on when it is run again', async () => {
    const folder = temporaryFolder();
    writeNotebook(join(folder, 'train.ipynb'));
    const page = await openNotebook(lab.python!, folder);
    await runCell(page, 0);
    await runCell(page, 1);
    const badge = page.locator('.jp-CodeCell').nth(1).locator('.jp-OutputArea-output.jp-RenderedHTMLCommon');
    const says = (text: RegExp) =>
      until(
        `the badge says ${text}`,
        async () =>
          text.test(
            await badge
              .first()
              .innerText()
              .catch(() => ''),
          ),
        60_000,
      );
    await says(/train training · step \d+ of 1,000 · epoch \d+ of 20 · loss .* left/);
    await shot(page, 'jupyterlab-training');
    await page.keyboard.press('Escape');
    await page.keyboard.press('i');
    await page.keyboard.press('i');
    await says(/train paused · step \d+ of 1,000 .* run the cell again to go on/);
    await untilIdle(page);
    await shot(page, 'jupyterlab-paused');
    writeFileSync(join(folder, 'go on'), '');
    await runCell(page, 1);
    await says(/train completed · step 1,000 of 1,000 · epoch 20 of 20/);
    await shot(page, 'jupyterlab-completed');
    await page.keyboard.press('Control+s');
    const saved = () => readFileSync(join(folder, 'train.ipynb'), 'utf8');
    await until('it is saved', async () => saved().includes('completed'));
    const { cells } = JSON.parse(saved()) as { cells: { outputs: { output_type: string }[] }[] };
    const shown = cells[1]!.outputs.filter(({ output_type }) => output_type === 'display_data');
    expect(shown).toHaveLength(1);
    expect(JSON.stringify(shown).length).toBeLessThan(2_000);
  }, 300_000);
});

function writeNotebook(path: string): void {
  const cells = CELLS.map((source, index) => ({
    id: `c${index}`,
    cell_type: 'code',
    metadata: {},
    source,
    outputs: [],
    execution_count: null,
  }));
  const metadata = { kernelspec: { name: 'python3', display_name: 'Python 3 (ipykernel)', language: 'python' } };
  writeFileSync(path, JSON.stringify({ nbformat: 4, nbformat_minor: 5, metadata, cells }));
}

async function shot(page: Page, name: string): Promise<void> {
  const folder = process.env.TRAINSTASH_SHOTS;
  if (folder) await page.screenshot({ path: join(folder, `${name}.png`) });
}
