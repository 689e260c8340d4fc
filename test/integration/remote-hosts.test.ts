/** Two hosts that share nothing but a network: each in a network namespace of its own, with a bucket or a machine with SSH between them. */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { afterwards } from '../support/cleanup.ts';
import { type Fixture, kill, makeFixture } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { filesBelow } from '../support/remotes.ts';
import { sshServer, whyNoSsh } from '../support/ssh-server.ts';
import { DIST } from '../support/trainer.ts';

const why = whyNot();
if (why) console.warn(`TESTS OF TWO HOSTS ARE SKIPPED: ${why}.`);

function whyNot(): string | null {
  if (!process.env.TRAINSTASH_TEST_REMOTES) return 'only `npm run test:remotes` has them';
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'network namespaces take root on Linux';
  if (spawnSync('ip', ['netns', 'list']).status !== 0) return 'there is no `ip netns` (Debian: iproute2)';
  return whyNoSsh();
}

interface Host extends Fixture {
  /** Runs the command line on the host. */
  on(...args: string[]): Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** Kills everything on the host at once, as a power cut does. */
  powerOff(): void;
}

let hosts = 0;

/** Makes a host with its own network, reached from outside at an address. */
function host(variables: Record<string, string>): Host {
  const number = ++hosts;
  const id = `ts${process.pid % 10_000}-${number}`;
  const ip = (...words: string[]) => execFileSync('ip', words, { stdio: 'pipe' });
  ip('netns', 'add', id);
  afterwards(() => {
    powerOff();
    spawnSync('ip', ['netns', 'del', id]);
  });
  const [outer, inner] = [`${id}o`, `${id}i`].map((name) => name.replace('-', '')) as [string, string];
  ip('link', 'add', outer, 'type', 'veth', 'peer', 'name', inner, 'netns', id);
  ip('addr', 'add', `10.91.${number}.1/24`, 'dev', outer);
  ip('link', 'set', outer, 'up');
  ip('-n', id, 'link', 'set', 'lo', 'up');
  ip('-n', id, 'addr', 'add', `10.91.${number}.2/24`, 'dev', inner);
  ip('-n', id, 'link', 'set', inner, 'up');
  ip('-n', id, 'route', 'add', 'default', 'via', `10.91.${number}.1`);
  const fixture = makeFixture({ env: variables });
  const powerOff = () => {
    const pids = spawnSync('ip', ['netns', 'pids', id], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    for (const pid of pids) kill(Number(pid), 'SIGKILL');
  };
  return {
    ...fixture,
    powerOff,
    on: (...args) =>
      new Promise((resolve) => {
        const words = ['netns', 'exec', id, process.execPath, join(DIST, 'trainstash.js'), ...args];
        const child = spawn('ip', words, { cwd: fixture.root, env: fixture.env, stdio: ['ignore', 'pipe', 'pipe'] });
        let [stdout, stderr] = ['', ''];
        child.stdout.on('data', (data) => {
          stdout += data;
        });
        child.stderr.on('data', (data) => {
          stderr += data;
        });
        child.once('close', (code) => resolve({ code, stdout, stderr }));
      }),
  };
}

type Shown = { run: Run; checkpoints: Checkpoint[] };
const json = async <T>(on: Host, ...args: string[]): Promise<T> =>
  JSON.parse((await on.on(...args, '--json')).stdout) as T;

test.skipIf(why !== null)(
  'a host that loses its power while it trains is replaced by another one, which ends with the same bits',
  async () => {
    // The server listens on every address of this machine; each host reaches it by its own gateway.
    const server = await sshServer('0.0.0.0');
    const one = host(server.variables);
    const box = join(one.folder, 'box');
    const url = (gateway: string) => server.urlOf(box).replace('127.0.0.1', gateway);
    expect((await one.on('remote', 'add', 'box', url('10.91.1.1'), '--push', 'all')).stderr).toBe('');
    expect((await one.on('run', 'small', '--seed', '5')).stdout).toContain('completed');
    const undisturbed = (await json<Shown>(one, 'show', '1')).checkpoints.at(-1)!;
    await one.on('run', 'small', '--seed', '5', '-p', 'slow=400', '--detach');
    const { run } = await json<Shown>(one, 'show', '2');
    await until(
      'some of its checkpoints are elsewhere',
      () => filesBelow(box).filter((name) => name.startsWith(`checkpoints/${run.id}/`)).length >= 2,
    );
    one.powerOff();

    const two = host(server.variables);
    rmSync(two.root, { recursive: true });
    execFileSync('git', ['clone', '-q', one.root, two.root], { stdio: 'pipe' });
    expect((await two.on('remote', 'add', 'box', url('10.91.2.1'))).stderr).toBe('');
    const resumed = await two.on('resume', 'box/2', '--set', 'slow=0', '--yes');
    expect(resumed.stdout, resumed.stderr).toMatch(/Resumed from step \d+: small #2/);
    const ended = await json<Shown>(two, 'show', '2');
    expect(ended.run).toMatchObject({ status: 'completed', origin: { remote: 'box', wasLive: true } });
    expect(ended.checkpoints.at(-1)!.stateDigest).toBe(undisturbed.stateDigest);
    // Each host has only what is its own.
    expect(readdirSync(join(two.store, 'sessions'))).toHaveLength(1);
    expect(readFileSync(join(two.store, 'remotes/box/remote.json'), 'utf8')).toContain('10.91.2.1');
  },
  600_000,
);
