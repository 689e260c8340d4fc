/**
 * Makes and keeps virtual environments for the tests: one per lock file in test/python/environments, in a cache folder outside the
 * checkout, so that a fresh clone finds them again. An environment is named after the digest of its lock file and is renamed into
 * place, so that of two concurrent test runs each sees a complete one or none.
 */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, delimiter, join, resolve } from 'node:path';

/** PyTorch's own index. PyPI's build for Linux brings 3 GB of CUDA, which no test needs. */
const CPU_INDEX = 'https://download.pytorch.org/whl/cpu';
/** Version of the procedure that makes an environment; raise it when the procedure changes. */
const RECIPE = '1';
const INSTALL_TIMEOUT_MS = 20 * 60_000;

const LOCKS = resolve(import.meta.dirname, '../test/python/environments');
const CURRENT_TORCH = 'torch-2.13';
const OLDEST_TORCH = 'oldest';
const PACKAGING = 'packaging';
const OPTUNA = 'optuna';
const INSTALLERS = 'installers';
const AIM = 'aim';
const JUPYTERLAB = 'jupyterlab';
/** Environments with servers: of S3, small ones and the one that imitates Amazon's; and Ray. */
const SERVERS = ['s3-servers', 'moto', 'ray'];

/** A framework's environment: the name of its lock file, its folder in python/tests, and whether it has an older version. */
export interface FrameworkEnvironment {
  name: string;
  framework: string;
  isOlder: boolean;
}

/** A Python that the tests can run, or the reason why there is none. */
export type PythonEnvironment = { python: string; why: null } | { python: null; why: string };

/** Finds the environment with today's PyTorch. `make` installs it if it is missing, which takes minutes. */
export function currentTorch(make: boolean): PythonEnvironment {
  return fromLockFile(CURRENT_TORCH, make);
}

/** Finds or makes the environment that packs the Python package. */
export function packaging(make: boolean): PythonEnvironment {
  return fromLockFile(PACKAGING, make);
}

/**
 * Lists the environments with a framework: all lock files except those with PyTorch alone or with no framework. `paddle.txt` has the version that
 * every test run uses, `lightning-2.1.txt` an older one.
 */
export function frameworks(): FrameworkEnvironment[] {
  const names = readdirSync(LOCKS).flatMap((file) => (file.endsWith('.txt') ? [basename(file, '.txt')] : []));
  return names
    .filter(
      (name) =>
        ![CURRENT_TORCH, OLDEST_TORCH, PACKAGING, OPTUNA, INSTALLERS, AIM, JUPYTERLAB, ...SERVERS].includes(name),
    )
    .map((name) => ({ name, framework: name.replace(/-\d.*$/, ''), isOlder: /-\d/.test(name) }));
}

/** Finds or makes an environment that `frameworks` lists. */
export function frameworkPython(name: string, make: boolean): PythonEnvironment {
  return fromLockFile(name, make);
}

/** Finds or makes the environment with Optuna. */
export function optuna(make: boolean): PythonEnvironment {
  return fromLockFile(OPTUNA, make);
}

/** Finds or makes the environment with uv and conda-lock. */
export function installers(make: boolean): PythonEnvironment {
  return fromLockFile(INSTALLERS, make);
}

/** Finds or makes the environment with Aim. */
export function aim(make: boolean): PythonEnvironment {
  return fromLockFile(AIM, make);
}

/** Finds or makes the environment with JupyterLab, which only the full run uses. */
export function jupyterLab(make: boolean): PythonEnvironment {
  return fromLockFile(JUPYTERLAB, make);
}

/** Finds or makes an environment with servers. */
export function serverPython(name: 's3-servers' | 'moto' | 'ray', make: boolean): PythonEnvironment {
  return fromLockFile(name, make);
}

function fromLockFile(name: string, make: boolean): PythonEnvironment {
  const base = findOnPath('python3.11');
  if (base === null) return missing('there is no python3.11 on the PATH');
  return environment(name, base, make, (folder) => {
    run(base, ['-m', 'venv', folder]);
    const python = interpreter(folder);
    const index = wouldInstallCuda(python, name) ? ['--extra-index-url', CPU_INDEX] : [];
    run(python, ['-m', 'pip', 'install', '--quiet', '--no-input', ...index, '-r', lockFile(name)]);
  });
}

/** Finds or makes the environment around `base`, a Python with the oldest PyTorch; `pip` is a Python that has pip. */
export function oldestTorch(base: string, pip: string, make: boolean): PythonEnvironment {
  return environment(OLDEST_TORCH, base, make, (folder) => {
    // Debian's Python lacks the module with which `venv` installs pip.
    run(base, ['-m', 'venv', '--system-site-packages', '--without-pip', folder]);
    run(pip, ['-m', 'pip', '--python', folder, 'install', '--quiet', '--no-input', '-r', lockFile(OLDEST_TORCH)]);
  });
}

function environment(name: string, base: string, make: boolean, fill: (folder: string) => void): PythonEnvironment {
  const cache = cacheFolder();
  const folder = join(cache, `${name}-${digest(name, base)}`);
  if (existsSync(interpreter(folder))) return { python: interpreter(folder), why: null };
  // A test that did not wait would be skipped without a word.
  if (!make && existsSync(process.env.TRAINSTASH_TEST_MAKING ?? ''))
    throw new Error(`${name} is still being made: call environmentsMade() first`);
  if (!make) return missing(`${folder} was not made yet`);
  const temporary = `${folder}.tmp-${process.pid}`;
  try {
    mkdirSync(cache, { recursive: true });
    sweep(cache);
    console.log(`Making the Python environment ${name} in ${cache} (about two minutes, once)…`);
    fill(temporary);
    renameScripts(temporary, folder);
    renameSync(temporary, folder);
  } catch (error) {
    rmSync(temporary, { recursive: true, force: true });
    // Another test run may have been faster.
    if (!existsSync(interpreter(folder))) return missing((error as Error).message);
  }
  return { python: interpreter(folder), why: null };
}

export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'trainstash-tests');
}

function interpreter(folder: string): string {
  return process.platform === 'win32' ? join(folder, 'Scripts', 'python.exe') : join(folder, 'bin', 'python');
}

function lockFile(name: string): string {
  return join(LOCKS, `${name}.txt`);
}

function digest(name: string, base: string): string {
  const version = spawnSync(base, ['-c', 'import sys; print(sys.executable, sys.version)'], {
    encoding: 'utf8',
  }).stdout;
  const parts = [RECIPE, version, readFileSync(lockFile(name), 'utf8')];
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 12);
}

/** Tells whether pip would choose a CUDA build of PyTorch. Only resolves the name, without a download. */
function wouldInstallCuda(python: string, name: string): boolean {
  const torch = readFileSync(lockFile(name), 'utf8').match(/^torch==.*$/m)?.[0];
  if (torch === undefined || process.platform !== 'linux') return false;
  const words = ['-m', 'pip', 'install', '--quiet', '--dry-run', '--no-deps', '--report', '-', torch];
  return !run(python, words).includes('+cpu');
}

/** Corrects the path of a moved environment, which is in the first lines of its scripts only. */
function renameScripts(from: string, to: string): void {
  if (process.platform === 'win32') return;
  for (const entry of readdirSync(join(from, 'bin'), { withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(from, 'bin', entry.name);
    const content = readFileSync(path);
    if (content.includes(from) && !content.includes(0)) writeFileSync(path, content.toString().replaceAll(from, to));
  }
}

/** Removes unfinished environments of test runs that were killed. */
function sweep(cache: string): void {
  for (const name of readdirSync(cache)) {
    const owner = name.match(/\.tmp-(\d+)$/)?.[1];
    if (owner && !isAlive(Number(owner))) rmSync(join(cache, name), { recursive: true, force: true });
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

function findOnPath(program: string): string | null {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = folders.map((folder) => join(folder, program)).find((path) => existsSync(path));
  return found && spawnSync(found, ['-c', 'import venv, ensurepip']).status === 0 ? found : null;
}

function run(program: string, words: string[]): string {
  const ended = spawnSync(program, words, { encoding: 'utf8', timeout: INSTALL_TIMEOUT_MS });
  if (ended.status === 0) return ended.stdout;
  const said = (ended.stderr || String(ended.error ?? '')).trim().split('\n').slice(-3).join(' ');
  throw new Error(`\`${program} ${words.slice(0, 3).join(' ')}\` failed: ${said}`);
}

function missing(why: string): PythonEnvironment {
  return { python: null, why };
}
