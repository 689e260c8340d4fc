// Installs Debian packages that tests and benchmarks need and that are missing here.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** True once this process knows today's packages. */
let isUpdated = false;

/** Installs packages if this is Debian and the user is root; does nothing elsewhere. */
export function installFromDebian(...packages: string[]): void {
  if (packages.length === 0 || !canInstall()) return;
  console.log(`Installing ${packages.join(', ')} from Debian (up to two minutes)…`);
  if (!isUpdated) apt('update');
  isUpdated = true;
  apt('install', '-y', '--no-install-recommends', ...packages);
}

function canInstall(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

function apt(...args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { stdio: 'ignore', env });
}
