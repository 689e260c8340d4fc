/** Starts the process of a session. It lives on whatever happens to the one that started it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import type { SessionDirectory } from './directory.ts';

/** Set by VS Code or Node for themselves; a training must not inherit them. */
const STRIPPED = /^(ELECTRON_RUN_AS_NODE|NODE_OPTIONS|VSCODE_.*|TRAINSTASH_.*)$/;

/** The environment a user's process gets, from the one the client supplied. */
export function trainingEnvironment(environment: Record<string, string>): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !STRIPPED.test(name));
  return { ...Object.fromEntries(kept), PYTHONUNBUFFERED: '1' };
}

/** `trainer` is the bundle to run. Its output goes to a file: a pipe would die with its reader. */
export function spawnTrainer(
  directory: SessionDirectory,
  trainer: string,
  cwd: string,
  environment: Record<string, string>,
): ChildProcess {
  const output = openSync(directory.file('output'), 'a');
  try {
    const child = spawn(process.execPath, [...nodeFlags(), trainer, directory.path], {
      cwd,
      detached: true,
      stdio: ['ignore', output, output],
      env: {
        ...trainingEnvironment(environment),
        ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
        ...(process.env.TRAINSTASH_SQLITE ? { TRAINSTASH_SQLITE: process.env.TRAINSTASH_SQLITE } : {}),
      },
    });
    // 'error' without a listener would end the daemon; the missing lock tells the rest.
    child.on('error', () => {});
    child.unref();
    return child;
  } finally {
    closeSync(output);
  }
}

/** TypeScript modules run without a build; Node 22 before 22.18 needs to be told. */
function nodeFlags(): string[] {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const strip = major === 22 && minor < 18 ? ['--experimental-strip-types'] : [];
  return [...strip, '--disable-warning=ExperimentalWarning'];
}
