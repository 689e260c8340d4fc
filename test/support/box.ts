/** A host of its own with SSH: a network, a name and a boot of its own, that can be cut off and powered off. */
import { execFileSync, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterwards } from './cleanup.ts';
import { temporaryFolder } from './folder.ts';
import { type SshServer, sshServer, whyNoSsh } from './ssh-server.ts';

/** Network of these hosts; those of tests of remotes have lower numbers. */
const NUMBER = 200 + (process.pid % 50);
let networks = 0;

export interface Network {
  /** Address of the host on its network. */
  address: string;
  /** Words before a command that is to run in it. */
  within: readonly string[];
  /** Cuts it off, without a word to anybody, and connects it again. */
  connect(isConnected: boolean): void;
  /** Kills everything in it at once. */
  powerOff(): void;
}

export interface Box extends Network {
  server: SshServer;
  /** Kills everything on it at once, and boots it anew. */
  reboot(): Promise<void>;
}

/** Tells why there can be no such host here; null: there can. */
export function whyNoBox(): string | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces take root on Linux';
  if (spawnSync('ip', ['netns', 'list']).status !== 0) return 'there is no `ip netns` (Debian: iproute2)';
  return whyNoSsh();
}

/** Makes a network with one host, which ends after the test. */
export function network(): Network {
  const id = `tsbox${process.pid % 10_000}-${++networks}`;
  const [outer, inner] = ['o', 'i'].map((end) => `${id.replace('-', end)}`) as [string, string];
  const subnet = `10.91.${NUMBER + networks}`;
  const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' });
  const powerOff = () => {
    const pids = spawnSync('ip', ['netns', 'pids', id], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    // Some end by themselves when another one does.
    for (const pid of pids) spawnSync('kill', ['-KILL', pid]);
  };
  ip('netns', 'add', id);
  afterwards(() => {
    powerOff();
    spawnSync('ip', ['netns', 'del', id]);
  });
  ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', id);
  ip('addr', 'add', `${subnet}.1/24`, 'dev', outer);
  ip('link', 'set', outer, 'up');
  ip('-n', id, 'link', 'set', 'lo', 'up');
  ip('-n', id, 'addr', 'add', `${subnet}.2/24`, 'dev', inner);
  ip('-n', id, 'link', 'set', inner, 'up');
  return {
    address: `${subnet}.2`,
    within: ['ip', 'netns', 'exec', id],
    powerOff,
    connect: (isConnected) => void ip('link', 'set', outer, isConnected ? 'up' : 'down'),
  };
}

export async function box(): Promise<Box> {
  const own = network();
  const boot = join(temporaryFolder(), 'boot_id');
  writeFileSync(boot, `${randomUUID()}\n`);
  const begin = `hostname box && mount --bind ${boot} /proc/sys/kernel/random/boot_id && exec "$0" "$@"`;
  const within = [...own.within, 'unshare', '--mount', '--uts', 'sh', '-c', begin];
  const server = await sshServer(own.address, within);
  return {
    ...own,
    within,
    server,
    reboot: async () => {
      own.powerOff();
      await server.stop();
      writeFileSync(boot, `${randomUUID()}\n`);
      await server.start();
    },
  };
}
