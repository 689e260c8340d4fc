/** Starts the process of a session. It lives on whatever happens to the one that started it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { delimiter } from 'node:path';
import { inspectFlags } from '../../base/inspect.ts';
import type { Params, ParamValue } from '../../protocol/domain.ts';
import { MASK } from '../../protocol/secrets.ts';
import type { Launch } from '../../protocol/session.ts';
import type { SessionDirectory } from './directory.ts';

/** Set by VS Code or Node for themselves; a training must not inherit them. */
const STRIPPED = /^(ELECTRON_RUN_AS_NODE|NODE_OPTIONS|VSCODE_.*|TRAINSTASH_.*)$/;

/** The environment a user's process gets, from the one the client supplied. */
export function trainingEnvironment(environment: Record<string, string>): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !STRIPPED.test(name));
  return { ...Object.fromEntries(kept), PYTHONUNBUFFERED: '1' };
}

/** The words of a command for its runner, with what must not be on disk. In the environment, since arguments can be seen. */
const COMMAND_VARIABLE = 'TRAINSTASH_COMMAND';
/** Where a script that uses the package finds its session. */
const SESSION_VARIABLE = 'TRAINSTASH_SESSION';
/** The params that the launch file masks, for a trainer and for a script that uses the package. */
const PARAMS_VARIABLE = 'TRAINSTASH_PARAMS';

/** The command as it is run, with the secrets that must not be on a disk. */
export interface RealCommand {
  words: readonly string[];
  /** Variables that the job adds. */
  env: Record<string, string>;
}

/** The command that this process was given beside its launch file; null when it was given none. */
export function realCommand(): RealCommand | null {
  return JSON.parse(process.env[COMMAND_VARIABLE] ?? 'null') as RealCommand | null;
}

/** The launch's params, with what this process was given in the places of masks; masks that nobody explains are left out. */
export function launchedParams(launch: Launch): Params {
  const real = JSON.parse(process.env[PARAMS_VARIABLE] ?? '{}') as Params;
  return Object.fromEntries(
    Object.entries(launch.params as Params).flatMap(([name, value]): [string, ParamValue][] => {
      if (name in real) return [[name, real[name]!]];
      return JSON.stringify(value).includes(MASK) ? [] : [[name, value]];
    }),
  );
}

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
  const params = environment[PARAMS_VARIABLE];
  return {
    ...base,
    PYTHONPATH: path,
    [SESSION_VARIABLE]: directory.path,
    ...(params === undefined ? {} : { [PARAMS_VARIABLE]: params }),
  };
}

interface SpawnOptions {
  node?: string;
  command?: RealCommand;
  /** Real values of params that the launch file masks. */
  params?: Params;
  /** Words behind the session's directory. */
  args?: string[];
}

/** `trainer` is the bundle to run. Its output goes to a file: a pipe would die with its reader. */
export function spawnTrainer(
  directory: SessionDirectory,
  trainer: string,
  cwd: string,
  environment: Record<string, string>,
  { node = process.execPath, command, params = {}, args = [] }: SpawnOptions = {},
): ChildProcess {
  const output = openSync(directory.file('output'), 'a');
  try {
    const child = spawn(node, [...nodeFlags(), ...inspectFlags(1), trainer, directory.path, ...args], {
      cwd,
      detached: true,
      stdio: ['ignore', output, output],
      env: {
        ...trainingEnvironment(environment),
        ...(process.versions.electron ? { ELECTRON_RUN_AS_NODE: '1' } : {}),
        ...(command ? { [COMMAND_VARIABLE]: JSON.stringify(command) } : {}),
        ...(Object.keys(params).length > 0 ? { [PARAMS_VARIABLE]: JSON.stringify(params) } : {}),
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
