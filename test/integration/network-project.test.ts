/** A project on a network file system: its store is on this machine, and other machines get its checkpoints from a remote beside it. */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { type Fixture, makeFixture } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { mountNetworkDisk, whyNoNetworkDisk } from '../support/network-disk.ts';
import { filesBelow, urlOf } from '../support/remotes.ts';

const why = whyNoNetworkDisk();
if (why) console.warn(`TESTS OF PROJECTS ON A NETWORK ARE SKIPPED: ${why}.`);

/** Makes a machine whose project is on a mount of a shared folder. */
function node(shared: string, env: Record<string, string> = {}): Fixture {
  const fixture = makeFixture({ env });
  const files = join(fixture.folder, 'files');
  cpSync(fixture.root, files, { recursive: true });
  rmSync(fixture.root, { recursive: true });
  if (!existsSync(shared)) cpSync(files, shared, { recursive: true });
  mountNetworkDisk(shared, fixture.root);
  return fixture;
}

type Shown = { run: Run; checkpoints: Checkpoint[] };
const json = async <T>(fixture: Fixture, ...args: string[]): Promise<T> =>
  JSON.parse((await fixture.cli(...args, '--json')).stdout) as T;

test.skipIf(why !== null)(
  'two machines train in one shared folder, each with its own store, and pass checkpoints on beside the project',
  async () => {
    const shared = join(temporaryFolder(), 'shared');
    const one = node(shared);
    expect((await one.cli('run', 'small', '--seed', '5')).stdout).toContain('completed');
    const where = (await one.cli('where')).stdout;
    expect(where).toMatch(/store\s+\S+state\/stores\/project-[0-9a-f]{12}/);
    expect(where).toContain('on a disk of this machine');
    const remote = urlOf(join(one.root, '.git/trainstash-remote'));
    expect(where).toContain(`remote add shared ${remote} --push all`);
    expect((await one.cli('remote', 'add', 'shared', remote, '--push', 'all')).stderr).toBe('');
    expect((await one.cli('push')).stdout).toContain('sent to shared');

    const two = node(shared);
    const url = urlOf(join(two.root, '.git/trainstash-remote'));
    expect((await two.cli('remote', 'add', 'shared', url)).stdout).toContain('Added');
    expect((await two.cli('pull', 'shared')).stdout).toContain('each byte verified');
    const [here, there] = [await json<Shown>(one, 'show', '1'), await json<Shown>(two, 'show', '1')];
    expect(there.checkpoints.at(-1)!.stateDigest).toBe(here.checkpoints.at(-1)!.stateDigest);
    const left = filesBelow(shared).filter(
      (name) => name.includes('trainstash') && !name.startsWith('.git/trainstash-remote/'),
    );
    expect(left).toEqual(['trainstash.json']);
  },
  300_000,
);

test.skipIf(why !== null)(
  'without a local folder that lasts the store is refused by name, until one is chosen',
  async () => {
    const folder = temporaryFolder();
    const home = join(folder, 'home');
    mountNetworkDisk(join(folder, 'home-there'), home);
    const temporary = join(folder, 'tmp');
    mkdirSync(temporary);
    const env = { HOME: home, TMPDIR: temporary, TRAINSTASH_STATE: '' };
    const fixture = node(join(folder, 'shared'), env);
    const refused = await fixture.cli('ls');
    expect(refused.stderr).toContain('where --stores');
    expect(refused.code).not.toBe(0);
    expect((await fixture.cli('where', '--stores', join(home, 'stores'))).stderr).toContain('is on a network');
    const chosen = await fixture.cli('where', '--stores', join(folder, 'scratch'));
    expect(chosen.stdout, chosen.stderr).toContain(join(folder, 'scratch', 'project-'));
  },
  120_000,
);
