/** VS Code's server for editors of the tests: its settings, its folders, and the package installed in them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { until } from './folder.ts';

/** Time to wait for anything in an editor: on a machine that is busy with other things a window takes minutes. */
export const WAIT_MS = 180_000;
const SETTINGS = {
  'security.workspace.trust.enabled': false,
  'telemetry.telemetryLevel': 'off',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  // Its text is in the document, where tests can read it.
  'terminal.integrated.gpuAcceleration': 'off',
  'extensions.autoUpdate': false,
  'extensions.autoCheckUpdates': false,
  'update.mode': 'none',
  'workbench.enableExperiments': false,
  'window.commandCenter': false,
  'chat.commandCenter.enabled': false,
  'chat.disableAIFeatures': true,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'files.simpleDialog.enable': true,
  'window.menuBarVisibility': 'classic',
};
/** Gives a window's extension host the environment that the window's address names. */
const WINDOW_ENVIRONMENT = pathToFileURL(join(import.meta.dirname, 'window-environment.ts')).href;

export interface ServerOptions {
  /** Script of VS Code's server. */
  script: string;
  vsix: string;
  /** Packages of other extensions to install. */
  others?: readonly string[] | undefined;
  /** Further options of the server. */
  flags?: readonly string[];
  /** Further variables of the server. */
  variables?: Record<string, string>;
}

/** Writes the settings of a person, in place of all that this person had before. */
export function writeSettings(home: string, more: Record<string, unknown>): void {
  const user = join(home, 'data/User');
  rmSync(user, { recursive: true, force: true, maxRetries: 5 });
  mkdirSync(user, { recursive: true });
  writeFileSync(join(user, 'settings.json'), JSON.stringify({ ...SETTINGS, ...more }));
}

/** Starts a server with all its files in a folder, in a process group of its own, and waits until it answers. */
export async function startServer(
  home: string,
  options: ServerOptions,
): Promise<{ child: ChildProcess; port: number }> {
  const folders = ['--server-data-dir', join(home, 'server'), '--user-data-dir', join(home, 'data')];
  const accepted = ['--accept-server-license-terms', ...folders];
  const env = {
    PATH: process.env.PATH,
    HOME: home,
    LANG: 'C.UTF-8',
    EXTENSIONS_GALLERY: '{}',
    // An extension host gets it as the address of its window, from which it takes its environment.
    VSCODE_PROXY_URI: '#',
    ...options.variables,
  };
  const install = (extensions: string, packages: readonly string[]) => {
    const words = packages.flatMap((path) => ['--install-extension', path]);
    const common = [...accepted, '--extensions-dir', extensions];
    const { status, stdout, stderr } = spawnSync(process.execPath, [options.script, ...common, ...words], {
      env,
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the extension cannot be installed: ${stdout}${stderr}`);
  };
  const extensions = join(home, 'extensions');
  copyInstalled(options.vsix, extensions, install);
  if (options.others?.length) install(extensions, options.others);
  const port = await freePort();
  const log = openSync(join(home, 'server.log'), 'w');
  const place = ['--extensions-dir', extensions, '--host', '127.0.0.1', '--port', String(port)];
  const quiet = ['--without-connection-token', '--disable-telemetry', '--telemetry-level', 'off'];
  const words = [...accepted, ...place, ...quiet, '--disable-getting-started-override', ...(options.flags ?? [])];
  const child = spawn(process.execPath, ['--import', WINDOW_ENVIRONMENT, options.script, ...words], {
    env,
    stdio: ['ignore', log, log],
    detached: true,
  });
  closeSync(log);
  await until('the editor’s server answers', () => answers(port), WAIT_MS);
  return { child, port };
}

/** Puts the installed package in a folder: a copy of the first one that was installed in this run. */
function copyInstalled(
  vsix: string,
  extensions: string,
  install: (extensions: string, packages: readonly string[]) => void,
): void {
  const shared = process.env.TRAINSTASH_TEST_EDITOR;
  if (shared === undefined || vsix !== join(shared, 'trainstash.vsix')) {
    install(extensions, [vsix]);
    return;
  }
  const known = join(shared, 'installed');
  // Of two files at once each may install: the name of a folder is there once all of it is.
  if (!existsSync(known)) {
    const own = join(shared, `extensions-${process.pid}`);
    install(own, [vsix]);
    writeFileSync(`${known}.${process.pid}`, own);
    renameSync(`${known}.${process.pid}`, known);
  }
  const first = readFileSync(known, 'utf8');
  cpSync(first, extensions, { recursive: true });
  // The list has the folder's full path.
  const list = join(extensions, 'extensions.json');
  writeFileSync(list, readFileSync(list, 'utf8').replaceAll(first, extensions));
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

/** Tells whether a server is there. */
export async function answers(port: number, path = '/version'): Promise<boolean> {
  const response = await fetch(`http://127.0.0.1:${port}${path}`).catch(() => null);
  return response?.ok ?? false;
}

/** Ends the processes of a group, such as a server with its extension hosts and watchers; a daemon has a group of its own. */
export async function endGroup(leader: number): Promise<void> {
  const signal = (name: NodeJS.Signals | 0) => {
    try {
      process.kill(-leader, name);
      return true;
    } catch {
      return false;
    }
  };
  signal('SIGTERM');
  await until('the editor’s processes are gone', () => !signal(0), 5_000).catch(() => signal('SIGKILL'));
}
