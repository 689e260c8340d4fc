// A Python with torch, for tests and benchmarks. As root on Debian it is installed when missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PACKAGES = ['python3-torch', 'libopenblas0-pthread'];
/** A checker of exported models, and the debugger. */
const EXTRAS = { onnx: 'python3-onnx', debugpy: 'python3-debugpy' };

/** Null when none is found and none can be installed. */
export function torchPython(install: boolean): string | null {
  const found = findPython();
  const canInstall = install && canInstallPackages();
  const extras = Object.entries(EXTRAS).filter(([name]) => !found || !canImport(found, name));
  const missing = [...(found ? [] : PACKAGES), ...extras.map(([, packed]) => packed)];
  if (missing.length === 0 || !canInstall) return found;
  console.log(`Installing ${missing.join(', ')} from Debian for the tests (up to two minutes)…`);
  const apt = (...args: string[]) =>
    spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...missing);
  return findPython();
}

function findPython(): string | null {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'python3'));
  const candidates = [process.env.TRAINSTASH_TEST_PYTHON, '/usr/bin/python3', ...onPath];
  return (
    candidates.find(
      (path) => path !== undefined && path !== '' && existsSync(path) && canImport(path, 'torch, numpy'),
    ) ?? null
  );
}

function canImport(python: string, modules: string): boolean {
  return spawnSync(python, ['-c', `import ${modules}`], { stdio: 'ignore' }).status === 0;
}

function canInstallPackages(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}
