/** A folder on a network file system: this machine's own disk, through SFTP and FUSE. */
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { installFromDebian } from '../../scripts/debian.ts';
import { afterwards } from './cleanup.ts';

const SERVER = '/usr/lib/openssh/sftp-server';

/** Says why no network disk can be mounted here, after trying to install what it takes; null: one can be. */
export function whyNoNetworkDisk(): string | null {
  if (!hasParts()) installFromDebian('sshfs', 'openssh-sftp-server');
  if (!hasParts()) return 'sshfs and an SFTP server cannot be had here (as root on Debian they are installed)';
  try {
    accessSync('/dev/fuse', constants.W_OK);
    return null;
  } catch {
    return 'nobody may mount with FUSE here';
  }
}

function hasParts(): boolean {
  return existsSync(SERVER) && spawnSync('which', ['sshfs']).status === 0;
}

/** Mounts `real` at `path`; several mounts of one folder are several machines that share it. */
export function mountNetworkDisk(real: string, path: string): void {
  for (const folder of [real, path]) mkdirSync(folder, { recursive: true });
  const ssh = `${path}.ssh`;
  writeFileSync(ssh, `#!/bin/sh\nexec ${SERVER}\n`, { mode: 0o755 });
  const mounted = spawnSync('sshfs', ['-o', `ssh_command=${ssh}`, `host:${real}`, path], { encoding: 'utf8' });
  if (mounted.status !== 0) throw new Error(`sshfs: ${mounted.stderr}`);
  afterwards(() => {
    spawnSync('umount', ['-l', path]);
  });
}
