/**
 * The server and the browser that the editor tests of one worker share, one window after the other: a server, a browser without its
 * cache of compiled scripts, and the start of both cost more than most tests. The run ends them (`editor-folder.ts`). A window
 * has a HOME, a daemon, settings and storage of its own.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { afterwards } from './cleanup.ts';
import { answers, endGroup, type ServerOptions, startServer, WAIT_MS, writeSettings } from './editor-server.ts';
import { temporaryFolder, until } from './folder.ts';

/** Options of a browser without a desktop. */
export const BROWSER_FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];
/** Options that Playwright adds to a browser that it starts itself, as far as they concern a page. */
const AS_PLAYWRIGHT = [
  '--headless',
  '--hide-scrollbars',
  '--mute-audio',
  '--no-default-browser-check',
  '--no-service-autorun',
  '--password-store=basic',
  '--use-mock-keychain',
  '--force-color-profile=srgb',
  '--disable-extensions',
  '--disable-default-apps',
  '--disable-hang-monitor',
  '--disable-popup-blocking',
  '--disable-prompt-on-repost',
  '--disable-renderer-backgrounding',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-back-forward-cache',
  '--disable-dev-shm-usage',
  '--disable-features=Translate,MediaRouter,OptimizationHints,HttpsUpgrades,PaintHolding',
];
/** Kinds of storage of a page, but for the scripts that it has compiled. */
const STORAGE = 'cookies,indexeddb,local_storage,cache_storage,file_systems';
const RECORD = 'running.json';

/** Numbers of the processes, which lead their groups, and the ports on which they listen. */
interface Running {
  server: { pid: number; port: number };
  browser: { pid: number; port: number };
}

export interface SharedWindow {
  page: Page;
  port: number;
  home: string;
  serverLog: string;
  /** Part of the window's address that names its environment. */
  query: Record<string, string>;
}

/** Opens a window of the worker's shared editor, empty as after an installation. `folder` is the run's. */
export async function sharedWindow(
  folder: string,
  executable: string,
  options: ServerOptions,
  settings: Record<string, unknown>,
  state: string,
): Promise<SharedWindow> {
  const home = temporaryFolder();
  const own = join(folder, `worker-${process.env.VITEST_POOL_ID ?? '1'}`);
  const running = (await stillRunning(own)) ?? (await start(own, executable, options));
  const browser = await chromium.connectOverCDP(`http://127.0.0.1:${running.browser.port}`, { timeout: WAIT_MS });
  afterwards(() => browser.close());
  const page = await emptyPage(browser, `http://127.0.0.1:${running.server.port}`);
  writeSettings(join(own, 'home'), settings);
  afterwards(() => endHosts(home));
  afterwards(async () => {
    // A browser without a page ends.
    await page.context().newPage();
    await page.close();
  });
  return { page, port: running.server.port, home, serverLog: join(own, 'home/server.log'), query: { home, state } };
}

/** Ends the shared editors of a run. */
export async function endSharedEditors(folder: string): Promise<void> {
  for (const name of readdirSync(folder).filter((one) => one.startsWith('worker-'))) {
    const running = recordIn(join(folder, name));
    if (running) await Promise.all([endGroup(running.server.pid), endGroup(running.browser.pid)]);
  }
}

function recordIn(own: string): Running | null {
  const record = join(own, RECORD);
  return existsSync(record) ? JSON.parse(readFileSync(record, 'utf8')) : null;
}

/** Returns those of the file before, if both still answer. */
async function stillRunning(own: string): Promise<Running | null> {
  const running = recordIn(own);
  if (!running) return null;
  if ((await answers(running.server.port)) && (await answers(running.browser.port, '/json/version'))) return running;
  await Promise.all([endGroup(running.server.pid), endGroup(running.browser.pid)]);
  return null;
}

async function start(own: string, executable: string, options: ServerOptions): Promise<Running> {
  rmSync(own, { recursive: true, force: true, maxRetries: 5 });
  const [profile, home] = [join(own, 'browser'), join(own, 'home')];
  for (const folder of [profile, home]) mkdirSync(folder, { recursive: true });
  const flags = [...BROWSER_FLAGS, ...AS_PLAYWRIGHT, '--window-size=1280,800'];
  const browser = spawn(
    executable,
    [...flags, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank'],
    { env: { ...process.env, HOME: own }, stdio: 'ignore', detached: true },
  );
  writeSettings(home, {});
  // The run is the process that has started this worker.
  const variables = { TRAINSTASH_TEST_OWNER: `${process.ppid} ${browser.pid}` };
  const server = await startServer(home, { ...options, variables });
  const active = join(profile, 'DevToolsActivePort');
  const port = await until('the browser says its port', () => existsSync(active) && portIn(active), WAIT_MS);
  const running = { server: { pid: server.child.pid!, port: server.port }, browser: { pid: browser.pid!, port } };
  writeFileSync(join(own, RECORD), JSON.stringify(running));
  for (const child of [server.child, browser]) child.unref();
  return running;
}

function portIn(active: string): number {
  return Number(readFileSync(active, 'utf8').split('\n')[0]);
}

/** Closes the windows of a test that did not come to do it, and opens an empty page for one that has stored nothing. */
async function emptyPage(browser: Browser, origin: string): Promise<Page> {
  const context = browser.contexts()[0]!;
  const left = context.pages();
  const page = await context.newPage();
  await page.setViewportSize({ width: 1280, height: 800 });
  for (const one of left) await one.close();
  const session = await context.newCDPSession(page);
  await session.send('Storage.clearDataForOrigin', { origin, storageTypes: STORAGE });
  await session.detach();
  return page;
}

/** Ends the extension hosts of a window, which has one after the other where it was loaded again. */
async function endHosts(home: string): Promise<void> {
  const record = join(home, 'extension-hosts');
  if (!existsSync(record)) return;
  const hosts = readFileSync(record, 'utf8').trim().split('\n').map(Number);
  for (const pid of hosts.filter(isHost)) process.kill(pid, 'SIGTERM');
  await until('the extension hosts are gone', () => !hosts.some(isHost), 10_000).catch(() => {
    for (const pid of hosts.filter(isHost)) process.kill(pid, 'SIGKILL');
  });
}

/** Tells whether that process is still an extension host, and not one that reuses its number. */
function isHost(pid: number): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--type=extensionHost');
  } catch {
    return false;
  }
}
