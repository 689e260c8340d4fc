/** A real sshd of the test's own, on a free port, with keys of its own; and the settings with which ssh finds it. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { installFromDebian } from '../../scripts/debian.ts';
import { afterwards } from './cleanup.ts';
import { temporaryFolder, until } from './folder.ts';
import { freePort } from './s3-servers.ts';

const SSHD = '/usr/sbin/sshd';
const SFTP_SERVER = '/usr/lib/openssh/sftp-server';

export interface SshServer {
  /** URL of a folder on it. */
  urlOf(folder: string): string;
  /** Environment in which ssh finds the server's key and its own. */
  variables: Record<string, string>;
  stop(): Promise<void>;
  start(): Promise<void>;
  /** Gives the server another key, as after an attack or a new installation. */
  changeKey(): Promise<void>;
}

/** Tells why there is no sshd here; null: there is. */
export function whyNoSsh(): string | null {
  if (existsSync(SSHD) && existsSync(SFTP_SERVER)) return null;
  installFromDebian('openssh-server', 'openssh-sftp-server', 'openssh-client');
  return existsSync(SSHD) && existsSync(SFTP_SERVER) ? null : 'there is no sshd (as root on Debian it is installed)';
}

/**
 * Starts one, on this machine's own address or on all. `within`: words before the server's, which start it in a namespace that has the
 * address.
 */
export async function sshServer(address = '127.0.0.1', within: readonly string[] = []): Promise<SshServer> {
  const folder = temporaryFolder();
  const port = await freePort();
  const own = within.length > 0 ? address : '127.0.0.1';
  const makeKey = (name: string) =>
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  makeKey('host');
  makeKey('other');
  makeKey('user');
  writeFileSync(join(folder, 'authorized'), readFileSync(join(folder, 'user.pub')), { mode: 0o600 });
  const host = readFileSync(join(folder, 'host.pub'), 'utf8');
  const names = ['127.0.0.1', '10.91.*'].map((name) => `[${name}]:${port}`).join(',');
  writeFileSync(join(folder, 'known'), `${names} ${host}`);
  mkdirSync('/run/sshd', { recursive: true });
  let key = 'host';
  let child: ChildProcess | null = null;
  const configure = () =>
    writeFileSync(
      join(folder, 'sshd_config'),
      `Port ${port}\nListenAddress ${address}\nHostKey ${folder}/${key}\nAuthorizedKeysFile ${folder}/authorized\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nUsePAM no\nStrictModes no\nPidFile none\nAcceptEnv SLURM_CONF\nSubsystem sftp ${SFTP_SERVER}\n`,
    );
  // The user's own configuration, as ssh reads it: through a program of that name on the PATH, since ssh ignores HOME.
  mkdirSync(join(folder, 'bin'));
  const ssh = execFileSync('sh', ['-c', 'command -v ssh'], { encoding: 'utf8' }).trim();
  writeFileSync(
    join(folder, 'config'),
    `Host login\n  HostName ${own}\n  Port ${port}\n  SendEnv SLURM_CONF\nHost *\n  IdentityFile ${folder}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile ${folder}/known\n  GlobalKnownHostsFile /dev/null\n`,
  );
  writeFileSync(join(folder, 'bin/ssh'), `#!/bin/sh\nexec ${ssh} -F ${folder}/config "$@"\n`, { mode: 0o755 });
  const stop = async () => {
    const running = child;
    child = null;
    if (!running?.pid || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    // With the sessions, which would go on without it.
    const sessions = readFileSync(`/proc/${running.pid}/task/${running.pid}/children`, 'utf8')
      .split(' ')
      .filter(Boolean);
    for (const pid of [running.pid, ...sessions.map(Number)]) process.kill(pid, 'SIGKILL');
    await ended;
  };
  const start = async () => {
    configure();
    const [program, ...words] = [...within, SSHD, '-D', '-e', '-f', join(folder, 'sshd_config')];
    const started = spawn(program!, words, { stdio: 'ignore' });
    child = started;
    await until('sshd answers', () => {
      if (started.exitCode !== null) throw new Error(`sshd has ended with ${started.exitCode}`);
      try {
        execFileSync(
          join(folder, 'bin/ssh'),
          [
            '-p',
            String(port),
            '-o',
            'StrictHostKeyChecking=no',
            '-o',
            `UserKnownHostsFile=${folder}/probe`,
            own,
            'true',
          ],
          { stdio: 'ignore' },
        );
        return true;
      } catch {
        return false;
      }
    });
  };
  afterwards(stop);
  await start();
  return {
    urlOf: (path) => `ssh://${userInfo().username}@127.0.0.1:${port}${path}`,
    variables: { PATH: `${join(folder, 'bin')}:${process.env.PATH}` },
    start,
    stop,
    changeKey: async () => {
      key = 'other';
      await stop();
      await start();
    },
  };
}
