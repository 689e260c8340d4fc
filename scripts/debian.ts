// Debian's packages, for tests and benchmarks that need a program or a library that is not here.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** As root on Debian: installs them, and says so. Elsewhere nothing. */
export function installFromDebian(...packages: string[]): void {
  if (packages.length === 0 || !canInstall()) return;
  console.log(`Installing ${packages.join(', ')} from Debian (up to two minutes)…`);
  apt('update');
  apt('install', '-y', '--no-install-recommends', ...packages);
}

function canInstall(): boolean {
  return process.platform === 'linux' && process.getuid?.() === 0 && existsSync('/usr/bin/apt-get');
}

function apt(...args: string[]): void {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['-o', 'DPkg::Lock::Timeout=300', ...args], { stdio: 'ignore', env });
}
