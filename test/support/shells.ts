/** Shells that complete command lines. As root on Debian those that are missing are installed. */
import { spawnSync } from 'node:child_process';
import { installFromDebian } from '../../scripts/debian.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

export function hasShell(shell: string): boolean {
  return !spawnSync(shell, ['--version'], { stdio: 'ignore' }).error;
}

/** Installs missing shells where it can. Returns those that are missing still. */
export function installShells(): string[] {
  const missing = SHELLS.filter((shell) => !hasShell(shell));
  installFromDebian(...missing);
  return missing.filter((shell) => !hasShell(shell));
}
