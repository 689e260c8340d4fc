/** `trainstash ui` with the real daemon and a real browser. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { expect, test } from 'vitest';
import { runList } from '../../protocol/messages/run.ts';
import { chromium as findBrowser } from '../../scripts/editor.ts';
import { afterwards } from '../support/cleanup.ts';
import {
  type Fixture,
  isAlive,
  makeFixture,
  openProject,
  startHeld,
  startSmall,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { DIST } from '../support/trainer.ts';

interface StartedUi {
  link: string;
  pid: number;
  said(): string;
  /** Ends it as Ctrl-C does. Returns the exit code. */
  end(): Promise<number | null>;
}

async function startUi(fixture: Fixture): Promise<StartedUi> {
  const words = [join(DIST, 'trainstash.js'), 'ui', '--no-open'];
  const child = spawn(process.execPath, words, {
    cwd: fixture.root,
    env: fixture.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  afterwards(() => void child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (piece) => {
      text += piece;
    });
  const link = await until('the link is printed', () => /http:\/\/127\.0\.0\.1:\d+\/enter#[\w-]{43}/.exec(text)?.[0]);
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  return {
    link,
    pid: child.pid!,
    said: () => text,
    end() {
      process.kill(-child.pid!, 'SIGINT');
      return ended;
    },
  };
}

async function picture(page: Page, name: string): Promise<void> {
  const folder = process.env.TRAINSTASH_SHOTS;
  if (!folder) return;
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.screenshot({ path: join(folder, `${name}-${scheme}.png`) });
  }
}

test('the link of trainstash ui leads to curves, a live run that moves, a pause, a resume and a comparison', async () => {
  const executablePath = findBrowser();
  expect(executablePath).not.toBeNull();
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const first = await startSmall(client, fixture, { slow: 1, epochs: 2 });
  await untilStatus(client, fixture, first.id, 'completed');
  const ui = await startUi(fixture);
  const browser: Browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
  afterwards(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  const problems: string[] = [];
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.goto(ui.link);
  await page.waitForURL(/\/$/);
  await page.locator('.chart canvas').first().waitFor();
  expect(await page.title()).toContain('project');
  expect(await page.getByRole('button', { name: 'Export…' }).count()).toBe(0);
  await picture(page, 'ui-dashboard');

  const live = await startHeld(client, fixture, 6, { slow: 40, epochs: 2_000 });
  await page.goto(new URL(`/run/${live.run.id}`, ui.link).href);
  const progress = page.locator('dl.facts');
  const before = await progress.innerText();
  live.release(12);
  await until('the page of the live run moves', async () => (await progress.innerText()) !== before);
  await picture(page, 'ui-run');
  await page.getByRole('button', { name: 'Pause', exact: true }).click();
  await untilStatus(client, fixture, live.run.id, 'paused');
  await page.locator('.badge.paused').waitFor();
  const code = join(fixture.root, 'small.ts');
  await import('node:fs/promises').then(({ appendFile }) => appendFile(code, '\n// changed\n'));
  await page.getByRole('button', { name: 'Resume', exact: true }).first().click();
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  expect(await dialog.innerText()).toContain('small.ts');
  await picture(page, 'ui-question');
  await dialog.getByRole('button', { name: 'Resume Anyway' }).click();
  await untilStatus(client, fixture, live.run.id, 'running');
  await page.locator('.badge.running').waitFor();

  await page.getByRole('button', { name: 'Compare…' }).first().click();
  await page.getByRole('dialog').getByRole('button', { name: 'Compare' }).click();
  await page.waitForURL(/\/diff\?sides=/);
  await page.locator('.chart canvas').first().waitFor();
  await until('the comparison has its title', async () => (await page.title()).includes('↔'));
  await picture(page, 'ui-diff');
  await page.getByRole('link', { name: 'All runs' }).click();
  await page.locator('.rows tbody tr:not([aria-hidden])').first().waitFor();
  expect(problems).toEqual([]);

  // A second use of the link is refused, and said where the person looks.
  const other = await browser.newContext();
  const stranger = await other.newPage();
  await stranger.goto(ui.link);
  await stranger.getByText('was used already').waitFor();
  await until('the second use is told', () => ui.said().includes('a second time'));
  expect((await stranger.goto(new URL('/', ui.link).href))!.status()).toBe(401);

  expect(await ui.end()).toBe(0);
  await page.getByText('trainstash ui has ended').waitFor();
  expect(isAlive(fixture.daemonPid())).toBe(true);
  const { runs } = await client.request(runList, { root: fixture.root, drafts: true });
  expect(runs.find(({ id }) => id === live.run.id)?.status).toBe('running');
  expect(existsSync(join(fixture.folder, 'state'))).toBe(true);
});
