/**
 * Loaded first in a server of VS Code and in its extension hosts, which inherit it: windows of one server belong to tests with a daemon
 * and a HOME each. The server hands an extension host the address of its window, as VSCODE_PROXY_URI; this takes the environment from it.
 * In a server that files share it waits for the end of the run.
 */
import { appendFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';

const LOOK_MS = 5_000;
const { VSCODE_ESM_ENTRYPOINT: entry, VSCODE_PROXY_URI: address = '', TRAINSTASH_TEST_OWNER: owner } = process.env;
const asked = URL.parse(address)?.searchParams;
const [home, state, more] = ['home', 'state', 'variables'].map((name) => asked?.get(name));
if (entry?.endsWith('/extensionHostProcess') && home && state) {
  process.env.HOME = home;
  process.env.TRAINSTASH_STATE = state;
  if (more) Object.assign(process.env, JSON.parse(more));
  // The test ends it: by itself it would wait for hours for a window that is gone.
  if (existsSync(home)) appendFileSync(join(home, 'extension-hosts'), `${process.pid}\n`);
}
if (asked) delete process.env.VSCODE_PROXY_URI;

// A run that was killed ends nothing: its server ends itself, and the browser beside it.
delete process.env.TRAINSTASH_TEST_OWNER;
if (owner !== undefined) {
  const [run, browser] = owner.split(' ').map(Number);
  setInterval(() => {
    if (signal(run!, 0)) return;
    signal(-browser!, 'SIGTERM');
    signal(-process.pid, 'SIGTERM');
  }, LOOK_MS).unref();
}

function signal(pid: number, name: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}
