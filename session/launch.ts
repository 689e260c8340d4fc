/** Starts the process of a session, which survives the process that started it. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { delimiter } from 'node:path';
import { inspectFlags } from '../base/inspect.ts';
import type { Params, ParamValue } from '../protocol/domain.ts';
import { MASK } from '../protocol/secrets.ts';
import type { Launch } from '../protocol/session.ts';
import type { SessionDirectory } from './directory.ts';

/** Variables that VS Code or Node set for themselves; a training must not inherit them. */
const STRIPPED = /^(ELECTRON_RUN_AS_NODE|NODE_OPTIONS|VSCODE_.*|TRAINSTASH_.*)$/;

/** Makes the environment of a user's process from the client's. */
export function trainingEnvironment(environment: Record<string, string>): Record<string, string> {
  const kept = Object.entries(environment).filter(([name]) => !STRIPPED.test(name));
  return { ...Object.fromEntries(kept), PYTHONUNBUFFERED: '1' };
}

/**
 * Variable that gives a runner the words of its command, with secrets that must not be on disk. An argument would be
 * visible to other users.
 */
export const COMMAND_VARIABLE = 'TRAINSTASH_COMMAND';
/** Variable that tells a script with the package where its session is. */
const SESSION_VARIABLE = 'TRAINSTASH_SESSION';
/** Variable with the params that the launch file masks, for a trainer and for a script with the package. */
export const PARAMS_VARIABLE = 'TRAINSTASH_PARAMS';

/** Command as it is run, with the secrets that must not be on disk. */
export interface RealCommand {
  words: readonly string[];
  /** Variables that the job adds. */
  env: Record<string, string>;
}

/** Variable with the signals that torchrun passes on. Any other signal ends it, and leaves its processes alone. */
const TORCHRUN_VARIABLE = 'PET_SIGNALS_TO_HANDLE';
const TORCHRUN_SIGNALS = 'SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1,SIGUSR2';

/** Returns the command that this process received in its environment; null when there was none. */
export function realCommand(): RealCommand | null {
  return JSON.parse(process.env[COMMAND_VARIABLE] ?? 'null') as RealCommand | null;
}

/**
 * Returns the launch's params with masks replaced by the values that this process received; leaves out masks without a
 * value.
 */
export function launchedParams(launch: Launch): Params {
  const real = JSON.parse(process.env[PARAMS_VARIABLE] ?? '{}') as Params;
  return Object.fromEntries(
    Object.entries(launch.params as Params).flatMap(([name, value]): [string, ParamValue][] => {
      if (name in real) return [[name, real[name]!]];
      return JSON.stringify(value).includes(MASK) ? [] : [[name, value]];
    }),
  );
}

/**
 * Makes a command's environment: the client's, the job's variables, and the paths of its session and of the package.
 */
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
    [TORCHRUN_VARIABLE]: TORCHRUN_SIGNALS,
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
  /** Arguments after the session's directory. */
  args?: string[];
}

/** Starts the bundle `trainer`. Its output goes to a file: a pipe would break when its reader dies. */
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
        ...testVariables(),
      },
    });
    // 'error' without a listener would end the daemon; the missing lock shows the failure.
    child.on('error', () => {});
    child.unref();
    return child;
  } finally {
    closeSync(output);
  }
}

/** Returns variables of the daemon that a trainer inherits, for tests. */
export function testVariables(): Record<string, string> {
  const names = ['TRAINSTASH_SQLITE', 'TRAINSTASH_SOFTWARE_GPU'];
  return Object.fromEntries(names.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])));
}

/** Returns the flags to run TypeScript modules without a build; Node 22 before 22.18 needs one. */
function nodeFlags(): string[] {
  const [major, minor] = process.versions.node.split('.').map(Number) as [number, number];
  const strip = major === 22 && minor < 18 ? ['--experimental-strip-types'] : [];
  return [...strip, '--disable-warning=ExperimentalWarning'];
}
