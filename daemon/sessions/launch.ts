/** Starts the process of a session. It lives on whatever happens to the one that started it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { delimiter } from 'node:path';
import type { SessionDirectory } from './directory.ts';

/** Set by VS Code or Node for themselves; a training must not inherit them. */
const STRIPPED = /^(ELECTRON_RUN_AS_NODE|NODE_OPTIONS|VSCODE_.*|TRAINSTASH_.*)$/;

/** The environment a user's process gets, from the one the client supplied. */
export function trainingEnvironment(environment: Record<string, string>): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !STRIPPED.test(name));
  return { ...Object.fromEntries(kept), PYTHONUNBUFFERED: '1' };
}

/** The words of a command for its runner, with what must not be on disk. In the environment, since arguments can be seen. */
export const COMMAND_VARIABLE = 'TRAINSTASH_COMMAND';
/** Where a script that uses the package finds its session. */
const SESSION_VARIABLE = 'TRAINSTASH_SESSION';

/** What a command gets: the client's environment, the job's variables, and the way to its session and the package. */
export function commandEnvironment(
  environment: NodeJS.ProcessEnv,
  directory: SessionDirectory,
  added: Record<string, string>,
  packages: string,
): Record<string, string> {
  const given = Object.entries(environment).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const base = { ...trainingEnvironment(Object.fromEntries(given)), ...added };
  const path = base.PYTHONPATH ? `${packages}${delimiter}${base.PYTHONPATH}` : packages;
  return { ...base, PYTHONPATH: path, [SESSION_VARIABLE]: directory.path };
}

/** `trainer` is the bundle to run. Its output goes to a file: a pipe would die with its reader. */
export function spawnTrainer(
  directory: SessionDirectory,
  trainer: string,
  cwd: string,
  environment: Record<string, string>,
  { node = process.execPath, words, args = [] }: { node?: string; words?: readonly string[]; args?: string[] } = {},
): ChildProcess {
  const output = openSync(directory.file('output'), 'a');
  try {
    const child = spawn(node, [...nodeFlags(), trainer, directory.path, ...args], {
      cwd,
      detached: true,
      stdio: ['ignore', output, output],
      env: {
        ...trainingEnvironment(environment),
        ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
        ...(words ? { [COMMAND_VARIABLE]: JSON.stringify(words) } : {}),
        ...forTests(),
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

/** Variables of the daemon's own that a trainer is to have as well. */
export function forTests(): Record<string, string> {
  const names = ['TRAINSTASH_SQLITE', 'TRAINSTASH_SOFTWARE_GPU'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** TypeScript modules run without a build; Node 22 before 22.18 needs to be told. */
function nodeFlags(): string[] {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const strip = major === 22 && minor < 18 ? ['--experimental-strip-types'] : [];
  return [...strip, '--disable-warning=ExperimentalWarning'];
}
