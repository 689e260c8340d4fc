/** Installs TensorFlow's library from PyPI into Trainstash's own folder. The user's Python environments stay as they are. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { TrainstashError } from '../protocol/errors.ts';

/** Versions that the binding was tried with. */
const VERSIONS = '>=2.16,<2.22';
const PYTHONS = ['python3', 'python', 'python3.13', 'python3.12', 'python3.11', 'python3.10', 'python3.9'];
/** Files of NVIDIA's driver. Without it CUDA would be gigabytes for nothing. */
const NVIDIA_DRIVER = ['/proc/driver/nvidia/version', '/dev/nvidiactl'];

export interface Plan {
  python: string;
  /** Requirement for pip. */
  what: string;
  /** Download and disk space, for a person. */
  size: string;
  /** True to install what the library needs beside itself: CUDA. */
  withDependencies: boolean;
}

/** Decides what to install, or throws `backendUnavailable`. `python`: the user's choice. */
export function planInstall(python: string | undefined): Plan {
  if (process.platform !== 'linux' || (process.arch !== 'x64' && process.arch !== 'arm64'))
    throw unusable(
      `there is no binding to TensorFlow for ${process.platform}-${process.arch}`,
      'On macOS and Windows `trainstash backend install webgpu` brings the GPU',
    );
  const found = (python ? [python] : PYTHONS).find(hasPip);
  if (found === undefined)
    throw unusable(
      python ? `${python} is no Python 3.9 to 3.13 with pip` : 'no Python 3.9 to 3.13 with pip is on the PATH',
      'Name one with `--python PATH`, or install TensorFlow into the project’s own environment',
    );
  const hasGpu = NVIDIA_DRIVER.some((path) => existsSync(path));
  if (hasGpu)
    return {
      python: found,
      what: `tensorflow[and-cuda]${VERSIONS}`,
      size: '3 GB to download, 7 GB on disk',
      withDependencies: true,
    };
  const name = process.arch === 'x64' ? 'tensorflow-cpu' : 'tensorflow';
  return {
    python: found,
    what: `${name}${VERSIONS}`,
    size: '0.3 GB to download, 1.2 GB on disk',
    withDependencies: false,
  };
}

/**
 * Installs into `<folder>/tensorflow`. The folder appears whole or not at all: an installation that was interrupted leaves
 * nothing that a training would load, and the next one removes the rest.
 */
export async function installTensorFlow(plan: Plan, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  sweep(folder);
  const temporary = join(folder, `tensorflow.tmp-${process.pid}`);
  try {
    const packages = join(temporary, 'lib/python3/site-packages');
    const words = ['-m', 'pip', 'install', '--no-input', '--disable-pip-version-check', '--only-binary', ':all:'];
    if (!plan.withDependencies) words.push('--no-deps');
    const code = await run(plan.python, [...words, '--target', packages, plan.what]);
    if (code !== 0)
      throw unusable(`pip ended with ${code}`, 'Its own words are above. Call this again to try once more');
    replace(temporary, join(folder, 'tensorflow'));
  } finally {
    rmSync(temporary, { recursive: true, force: true });
  }
}

/** Removes what `installTensorFlow` made. Returns false where there was nothing. */
export function removeTensorFlow(folder: string): boolean {
  sweep(folder);
  const path = join(folder, 'tensorflow');
  if (!existsSync(path)) return false;
  // A training that runs has the library open, and keeps it.
  const gone = `${path}.tmp-${process.pid}`;
  renameSync(path, gone);
  rmSync(gone, { recursive: true, force: true });
  return true;
}

function replace(source: string, target: string): void {
  if (existsSync(target)) renameSync(target, `${target}.tmp-${process.pid}-old`);
  renameSync(source, target);
  rmSync(`${target}.tmp-${process.pid}-old`, { recursive: true, force: true });
}

/** Removes what processes left that were killed while they installed. */
function sweep(folder: string): void {
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    const owner = /^tensorflow\.tmp-(\d+)/.exec(name)?.[1];
    if (owner && !isAlive(Number(owner))) rmSync(join(folder, name), { recursive: true, force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function hasPip(python: string): boolean {
  const code = 'import sys, pip; sys.exit(not (3, 9) <= sys.version_info[:2] <= (3, 13))';
  return spawnSync(python, ['-c', code], { stdio: 'ignore', timeout: 20_000 }).status === 0;
}

/** Runs a program whose output the person reads along. Ctrl-C reaches it, too, and ends both. */
function run(program: string, words: string[]): Promise<number | string> {
  return new Promise((resolve) => {
    const child = spawn(program, words, { stdio: ['ignore', 2, 2] });
    const ignore = () => {};
    process.on('SIGINT', ignore);
    const done = (result: number | string) => {
      process.off('SIGINT', ignore);
      resolve(result);
    };
    child.once('error', (error) => done(error.message));
    child.once('exit', (code, signal) => done(code ?? String(signal)));
  });
}

function unusable(reason: string, remedy: string): TrainstashError<'backendUnavailable'> {
  return new TrainstashError(
    'backendUnavailable',
    `TensorFlow was not installed: ${reason}. Nothing was changed. ${remedy}.`,
    {
      backend: 'tensorflow',
      reason,
    },
  );
}
