// A Python with torch, for tests and benchmarks. As root on Debian it is installed when missing.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PACKAGES = ['python3-torch', 'libopenblas0-pthread'];

/** Null when none is found and none can be installed. */
export function torchPython(install: boolean): string | null {
  const found = findPython();
  if (found || !install || !canInstallPackages()) return found;
  console.log('Installing Debian’s PyTorch for the tests (a minute or two)…');
  const apt = (...args: string[]) =>
    spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], {
      stdio: 'ignore',
      env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
    });
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...PACKAGES);
  return findPython();
}

function findPython(): string | null {
  const onPath = (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, 'python3'));
  const candidates = [process.env.TRAINSTASH_TEST_PYTHON, '/usr/bin/python3', ...onPath];
  return candidates.find((path) => path !== undefined && path !== '' && existsSync(path) && hasTorch(path)) ?? null;
}

function hasTorch(python: string): boolean {
  return spawnSync(python, ['-c', 'import torch, numpy'], { stdio: 'ignore' }).status === 0;
}

function canInstallPackages(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}
