/** A real VS Code (its server, in a browser) with the packed extension, a profile of its own and an open folder. */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { chromium, type Frame, type Locator, type Page } from 'playwright-core';
import { codeServer, chromium as findBrowser } from '../../scripts/editor.ts';
import { packExtension } from '../../scripts/vsix.ts';
import { afterwards } from './cleanup.ts';
import { endGroup, startServer, WAIT_MS, writeSettings } from './editor-server.ts';
import { hasStored } from './editor-storage.ts';
import { temporaryFolder, until } from './folder.ts';
import { BROWSER_FLAGS, type SharedWindow, sharedWindow } from './shared-editor.ts';

const PACKING_MS = 600_000;
/** Option of a server whose windows trust each folder. */
const TRUSTING = '--disable-workspace-trust';

/** Parts of an editor; null if this machine cannot have one, with the reason printed. */
export interface EditorParts {
  server: string;
  browser: string;
  vsix: string;
}

export async function editorParts(): Promise<EditorParts | null> {
  const browser = findBrowser();
  if (!browser) {
    console.warn('Tests of the extension are skipped: no Chromium (set TRAINSTASH_BROWSER to one).');
    return null;
  }
  try {
    const server = codeServer();
    return { server, browser, vsix: await packedOnce() };
  } catch (error) {
    // An unreachable registry is not a fault of the extension.
    console.warn(`Tests of the extension are skipped: ${(error as Error).message}`);
    return null;
  }
}

/** Packs the extension, once in a run of all tests. */
async function packedOnce(): Promise<string> {
  const shared = process.env.TRAINSTASH_TEST_EDITOR;
  if (shared === undefined) return packExtension();
  const target = join(shared, 'trainstash.vsix');
  const lock = join(shared, 'packing');
  // The other worker waits for it: two that pack are both slower than one.
  if (!hasMade(lock)) await until('the other worker has packed', () => existsSync(target), PACKING_MS);
  else
    try {
      renameSync(await packExtension({ target: `${target}.${process.pid}` }), target);
    } catch (error) {
      rmSync(lock, { recursive: true, force: true });
      throw error;
    }
  return target;
}

/** Makes a folder, and tells whether it was missing. */
function hasMade(folder: string): boolean {
  return mkdirSync(folder, { recursive: true }) !== undefined;
}

export interface EditorOptions {
  folder: string;
  /** A `.code-workspace` file to open instead. */
  workspace?: string;
  /** State directory of the daemon that the extension finds or starts. */
  state: string;
  settings?: Record<string, unknown>;
  /** Packages of other extensions to install. */
  others?: readonly string[];
  /** Suite to run inside the extension host. The smoke driver, which it needs, shows no toasts. */
  suite?: { extension: string; tests: string; log(args: unknown[]): void };
  theme?: string;
  /** Further variables of the window's environment. */
  variables?: Record<string, string> | undefined;
}

export async function openEditor(parts: EditorParts, options: EditorOptions): Promise<Editor> {
  const theme = options.theme ?? process.env.TRAINSTASH_THEME ?? 'Default Dark Modern';
  const settings = { 'workbench.colorTheme': theme, ...options.settings };
  const shared = process.env.TRAINSTASH_TEST_EDITOR;
  // What concerns a whole server has one of its own.
  const isOrdinary = !options.settings && !options.others?.length && !options.suite;
  const { page, port, serverLog, query } =
    shared !== undefined && isOrdinary && parts.vsix === join(shared, 'trainstash.vsix')
      ? await sharedWindow(
          shared,
          parts.browser,
          { script: parts.server, vsix: parts.vsix, flags: [TRUSTING] },
          settings,
          options.state,
        )
      : await ownWindow(parts, options, settings);
  const remote = (path: string) => `vscode-remote://127.0.0.1:${port}${path}`;
  const payload = options.suite && [
    ['extensionDevelopmentPath', remote(options.suite.extension)],
    ['extensionTestsPath', remote(options.suite.tests)],
  ];
  const address = new URLSearchParams({
    ...(options.workspace ? { workspace: options.workspace } : { folder: options.folder }),
    ...(payload ? { payload: JSON.stringify(payload) } : {}),
    ...query,
    ...(options.variables ? { variables: JSON.stringify(options.variables) } : {}),
  });
  const editor = new Editor(page, `http://127.0.0.1:${port}/?${address}`, serverLog);
  await editor.open(options.suite?.log);
  return editor;
}

/** Opens a window with a server and a browser of its own. */
async function ownWindow(
  parts: EditorParts,
  options: EditorOptions,
  settings: Record<string, unknown>,
): Promise<SharedWindow> {
  const home = temporaryFolder();
  writeSettings(home, settings);
  const flags: string[] = [];
  if (options.suite) flags.push('--enable-smoke-test-driver');
  if (settings['security.workspace.trust.enabled'] !== true) flags.push(TRUSTING);
  const { child, port } = await startServer(home, {
    script: parts.server,
    vsix: parts.vsix,
    others: options.others,
    flags,
  });
  afterwards(() => endGroup(child.pid!));
  const browser = await chromium.launch({
    executablePath: parts.browser,
    headless: true,
    args: BROWSER_FLAGS,
    timeout: WAIT_MS,
  });
  afterwards(() => browser.close());
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  return { page, port, home, serverLog: join(home, 'server.log'), query: { home, state: options.state } };
}

export class Editor {
  readonly #url: string;
  readonly #serverLog: string;
  readonly pageErrors: string[] = [];
  readonly page: Page;

  constructor(page: Page, url: string, serverLog: string) {
    this.page = page;
    this.#url = url;
    this.#serverLog = serverLog;
  }

  /** Exit code of a suite inside the extension host. */
  suiteExit: Promise<number> = new Promise(() => {});

  async open(log?: (args: unknown[]) => void): Promise<void> {
    this.page.setDefaultTimeout(WAIT_MS);
    this.page.on('pageerror', (error) => this.pageErrors.push(String(error)));
    if (log) {
      await this.page.exposeFunction('codeAutomationLog', (_type: string, args: unknown[]) => log(args));
      let done = (_code: number) => {};
      this.suiteExit = new Promise((resolve) => {
        done = resolve;
      });
      await this.page.exposeFunction('codeAutomationExit', (code: number) => done(code));
    }
    await this.page.goto(this.#url, { timeout: WAIT_MS });
    await this.page.waitForSelector('.monaco-workbench');
  }

  async reload(): Promise<void> {
    await this.page.reload();
    await this.page.waitForSelector('.monaco-workbench');
  }

  /** Tells whether a text is that often in a value of the workbench's stored state, which is written a few seconds late. */
  hasStored(text: string, times = 1): Promise<boolean> {
    return hasStored(this.page, text, times);
  }

  async showTrainstash(): Promise<void> {
    const tab = this.page.getByRole('tab', { name: /^Trainstash/ });
    const title = this.page.locator('.part.sidebar .composite.title', { hasText: /trainstash/i });
    await tab.waitFor();
    // After a reload the side bar may be about to return, and a click on its tab would hide it again.
    await until('the side bar is Trainstash’s', async () => {
      if (await shows(title, 1_500)) return true;
      await tab.click();
      return shows(title, 3_000);
    });
  }

  row(name: string | RegExp): Locator {
    return this.page.getByRole('treeitem', { name }).first();
  }

  /** Returns the label and description of a row. */
  async textOf(row: Locator): Promise<string> {
    const parts = await row.locator('.label-name, .label-description').allInnerTexts();
    return parts.join(' ').replaceAll(/\s+/g, ' ').trim();
  }

  async rowAction(row: Locator, action: string): Promise<void> {
    await row.hover();
    await row.getByRole('button', { name: action, exact: true }).click();
  }

  async rowMenu(row: Locator, entry: string): Promise<void> {
    const item = this.page.locator('.context-view .monaco-menu').getByRole('menuitem', { name: entry });
    // A menu closes when its tree is drawn anew. It ignores clicks for its first moment on purpose, and does not report when
    // that is over.
    await until(`the menu took ${entry}`, async () => {
      if (!(await item.isVisible())) await row.click({ button: 'right' });
      return (
        (await did(item.hover({ timeout: 3_000 }))) && (await did(item.click({ timeout: 1_000 }))) && hides(item, 1_000)
      );
    });
  }

  /** Accepts what a dialog of this title proposes. While it is still looking at the path, it ignores the key. */
  async acceptPath(title: string): Promise<void> {
    const dialog = this.page.locator('.quick-input-widget').getByText(title);
    await dialog.waitFor();
    await until(`the dialog “${title}” took its path`, async () => {
      await this.page.keyboard.press('Enter');
      return hides(dialog, 2_000);
    });
  }

  /** Runs a command by its title, through the palette. */
  async palette(title: string): Promise<void> {
    const input = this.page.locator('.quick-input-widget input.input');
    const row = this.page.locator('.quick-input-list .monaco-list-row', { hasText: title }).first();
    // The available commands are determined when the list opens: a file's language may be known a moment later.
    await until(`the palette has ${title}`, async () => {
      await this.page.keyboard.press('F1');
      await input.waitFor({ state: 'visible' });
      await input.fill(`>${title}`);
      if (await shows(row, 3_000)) return true;
      await this.page.keyboard.press('Escape');
      return false;
    });
    await this.page.keyboard.press('Enter');
  }

  async quickOpen(file: string): Promise<void> {
    await this.page.keyboard.press('Control+p');
    const input = this.page.locator('.quick-input-widget input.input');
    await input.waitFor({ state: 'visible' });
    await input.fill(file);
    await this.page.locator('.quick-input-list .monaco-list-row', { hasText: file }).first().waitFor();
    await this.page.keyboard.press('Enter');
    await this.page.getByRole('tab', { name: file }).waitFor();
    if (file.endsWith('.py')) await this.page.locator('.editor-instance .monaco-editor.focused').waitFor();
  }

  get status(): Locator {
    return this.page.locator('[id="trainstash.trainstash.trainstash.status"]');
  }

  toast(text: string | RegExp): Locator {
    return this.page.locator('.notification-toast', { hasText: text });
  }

  /** Finds a notification as a toast or in the list of all: only three toasts are shown at a time. */
  async notification(text: string | RegExp): Promise<Locator> {
    const shown = this.toast(text);
    const center = this.page.locator('.notifications-center');
    const listed = center.locator('.notification-list-item', { hasText: text });
    return until(`a notification says ${text}`, async () => {
      if (await shows(shown.or(listed).first(), 5_000)) return (await shown.isVisible()) ? shown : listed;
      // The list closes when something else takes the focus, or when it has become empty.
      if (!(await center.isVisible())) await this.palette('Notifications: Show Notifications');
      return false;
    });
  }

  /** Finds the open page of ours that shows this text. */
  webview(text: string | RegExp, timeoutMs?: number): Promise<Frame> {
    const look = async () => {
      for (const frame of this.page.frames()) {
        const shown = frame.locator('#page', { hasText: text });
        if (await shown.isVisible().catch(() => false)) return frame;
      }
      return false;
    };
    return until(`a page shows ${text}`, look, timeoutMs);
  }

  /** Takes a picture for people if `TRAINSTASH_SHOTS` names a folder. */
  async shot(name: string): Promise<void> {
    const folder = process.env.TRAINSTASH_SHOTS;
    if (!folder) return;
    mkdirSync(folder, { recursive: true });
    await this.page.screenshot({ path: join(folder, `${name}.png`) });
  }

  serverLog(): string {
    return readFileSync(this.#serverLog, 'utf8');
  }
}

function shows(locator: Locator, timeout: number): Promise<boolean> {
  return did(locator.waitFor({ timeout }));
}

function hides(locator: Locator, timeout: number): Promise<boolean> {
  return did(locator.waitFor({ state: 'hidden', timeout }));
}

/** Tells whether an action came about in its time. */
export function did(action: Promise<unknown>): Promise<boolean> {
  return action.then(
    () => true,
    () => false,
  );
}
