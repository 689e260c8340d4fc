/** The guide "Two machines, one history" as a user follows it, on two machines that share only a folder. */
import { execFileSync } from 'node:child_process';
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { type Fixture, makeFixture, SMALL_JOB } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { filesBelow, urlOf } from '../support/remotes.ts';

/** Makes a machine with a clone of the other one's project: its own state folder, and its own daemon. */
function cloneOf(other: Fixture): Fixture {
  const fixture = makeFixture();
  rmSync(fixture.root, { recursive: true });
  execFileSync('git', ['clone', '-q', other.root, fixture.root], { stdio: 'pipe' });
  return fixture;
}

async function ok(fixture: Fixture, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await fixture.cli(...args);
  expect(code, `${args.join(' ')}: ${stderr}${stdout}`).toBe(0);
  return stdout;
}

const json = async <T>(fixture: Fixture, ...args: string[]): Promise<T> =>
  JSON.parse(await ok(fixture, ...args, '--json')) as T;

type Shown = { run: Run; checkpoints: Checkpoint[] };

test('a run that was killed on one machine goes on on another with the same bits, and its history comes back', async () => {
  const one = makeFixture();
  const url = urlOf(join(one.folder, 'box'));
  await ok(one, 'run', 'small', '--seed', '5');
  const undisturbed = (await json<Shown>(one, 'show', '1')).checkpoints.at(-1)!;
  const marker = `marker=${join(one.folder, 'killed')}`;
  expect((await one.cli('run', 'small', '--seed', '5', '-p', 'killAt=10', '-p', marker)).stdout).toContain('lost');
  expect(await ok(one, 'remote')).toContain('No remotes');
  expect(await ok(one, 'remote', 'add', 'box', url)).toMatch(/Added box .*empty/);
  expect(await ok(one, 'push')).toMatch(/checkpoints sent to box/);
  expect(await ok(one, 'push')).toContain('already');
  expect(await ok(one, 'remote', 'test', 'box')).toMatch(/works: write .*, delete/);

  const two = cloneOf(one);
  await ok(two, 'remote', 'add', 'box', url);
  expect(await ok(two, 'fetch')).toMatch(/box: 2 runs with \d+ checkpoints, \d+ of them new/);
  const listed = await ok(two, 'ls', '--remote', 'box');
  expect(listed).toMatch(/box\/2\s+small #2\s+lost\s+\d+\s+\d+ \(\d+ not here\)/);
  for (const line of listed.split('\n')) expect(line.length).toBeLessThanOrEqual(80);
  expect(await ok(two, 'ls')).toContain('No runs');
  const resumed = await ok(two, 'resume', 'box/2', '--set', 'killAt=0', '--yes');
  expect(resumed).toMatch(/1 checkpoint of small #2 came in .*each byte verified/);
  expect(resumed).toMatch(/Resumed from step \d+: small #2/);
  const ended = await json<Shown>(two, 'show', '2');
  expect(ended.run).toMatchObject({ status: 'completed', sessions: 2, origin: { remote: 'box', number: 2 } });
  expect(ended.checkpoints.at(-1)!.stateDigest).toBe(undisturbed.stateDigest);
  expect(await ok(two, 'show', '2')).toMatch(/from\s+box, where it is #2; .* sent it/);

  await ok(two, 'push', '2');
  expect(await ok(one, 'pull', 'box')).toMatch(/came in/);
  const back = await json<Shown>(one, 'show', '2');
  expect(back.run).toMatchObject({ status: 'completed', step: ended.run.step });
  expect(back.checkpoints.at(-1)!.stateDigest).toBe(undisturbed.stateDigest);
  expect(await ok(one, 'remote', 'fsck', 'box', '--data')).toMatch(/whole checkpoints .* each byte compared/);
  expect(await ok(one, 'remote', 'gc', 'box', '--dry-run')).toContain('0 objects (0 B) would be deleted');
  expect(await ok(one, 'remote', 'rm', 'box')).toContain('stays there');
  expect((await one.cli('push')).stderr).toContain('remote add');
}, 180_000);

test('a clone takes everything, and the command of a run without a job is shown before it runs here', async () => {
  const one = makeFixture();
  const url = urlOf(join(one.folder, 'box'));
  const script =
    "import os,zipfile\nos.makedirs('out',exist_ok=True)\nz=zipfile.ZipFile('out/ckpt_0001.pt','w');z.writestr('archive/data.pkl','1');z.close()\n";
  writeFileSync(join(one.root, 'train.py'), script);
  writeFileSync(join(one.root, '.gitignore'), 'out/\n');
  const git = (...words: string[]) =>
    execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@e.org', ...words], { cwd: one.root });
  git('add', '-A');
  git('commit', '-qm', 'script');
  await ok(one, 'run', '--', 'python3', 'train.py');
  await ok(one, 'remote', 'add', 'box', url);
  await ok(one, 'push', 'last');
  const two = cloneOf(one);
  expect(await ok(two, 'clone', url)).toMatch(/1 checkpoint of .* came in/);
  expect((await json<Shown>(two, 'show', '1')).run).toMatchObject({ number: 1, origin: { remote: 'origin' } });
  const refused = await two.cli('resume', '1');
  expect(refused.code).toBe(3);
  expect(refused.stderr).toMatch(
    /machine command\s+given on .*, and sent to origin then, to be run here: python3 train.py now/,
  );
  await ok(two, 'resume', '1', '--yes');
  expect((await two.cli('resume', '1')).stderr).not.toContain('machine command');
}, 180_000);

test('a copied store sends nothing to the remotes that it names until somebody accepts it', async () => {
  const one = makeFixture();
  const box = join(one.folder, 'box');
  await ok(one, 'run', 'small');
  await ok(one, 'remote', 'add', 'box', urlOf(box));
  await ok(one, 'daemon', 'stop');
  const two = cloneOf(one);
  cpSync(one.store, two.store, { recursive: true });
  for (const words of [['push'], ['remote'], ['fetch'], ['ls', '--remote']])
    expect((await two.cli(...words)).stderr).toContain('was made elsewhere');
  expect(filesBelow(box).filter((name) => name !== 'trainstash.json')).toEqual([]);
  expect(await ok(two, 'remote', '--trust')).toContain('box');
});

test('a mistake on the command line is named, and nothing is added', async () => {
  const fixture = makeFixture();
  const fails = async (...args: string[]) => {
    const { code, stderr } = await fixture.cli(...args);
    expect(code).not.toBe(0);
    return stderr;
  };
  expect(await fails('remote', 'add', 'box')).toContain('offers no remote "box"');
  expect(await fails('remote', 'add', '7', 'file:///nowhere')).toContain('is no name for a remote');
  expect(await fails('remote', 'add', 'box', 'ftp://example.org/box')).toContain('file:///folder');
  expect(await fails('remote', 'add', 'box', 'file:///proc/box')).toMatch(/refused access|cannot be reached|not there/);
  expect(await fails('remote', 'nonsense')).toContain('Usage');
  expect(await fails('push')).toContain('remote add');
  expect(await fails('pull', 'box/1')).toContain('There is no remote "box"');
  expect(await fails('ls', 'box')).toContain('--remote');
  expect(await fails('help', 'remoteGonee')).toContain('remoteGone');
  expect(await ok(fixture, 'remote')).toContain('No remotes');
});

test('an offered remote is encrypted where somebody asks for it, and an option that would be ignored is refused', async () => {
  const folder = temporaryFolder();
  const box = join(folder, 'box');
  const config = { remotes: { box: { url: urlOf(box), profile: 'work' } }, jobs: { small: SMALL_JOB } };
  const one = makeFixture({ config });
  const key = join(folder, 'box.key');
  const fails = async (...args: string[]) => {
    const { code, stderr } = await one.cli(...args);
    expect(code, args.join(' ')).not.toBe(0);
    return stderr;
  };
  expect(await fails('remote', 'add', 'box', '--yes', '--profile', 'other')).toContain('Nothing was added');
  expect(await ok(one, 'remote')).toContain('with your AWS profile work');
  await ok(one, 'remote', 'add', 'box', '--yes', '--key', key, '--push', 'last', '--limit', '50MB/s');
  await ok(one, 'run', 'small');
  await ok(one, 'push');
  const names = filesBelow(box).filter((name) => name !== 'trainstash.json');
  expect(names.length).toBeGreaterThan(2);
  for (const name of names) expect(readFileSync(join(box, name)).subarray(0, 8).toString()).toBe('TSSEAL01');
  expect(await ok(one, 'remote', 'set', 'box', '--push', 'none')).toMatch(/only what .* at most 50(\.0)? MB a second/);
  expect(await ok(one, 'remote', 'set', 'box', '--limit', 'none')).toMatch(/only what .* without a limit/);
  for (const words of [
    ['set', 'box', '--key', key],
    ['set', 'box', '--encrypt'],
    ['test', 'box', '--data'],
    ['rm', 'box', '--dry-run'],
    ['fsck', 'box', '--limit', '1MB/s'],
  ])
    expect(await fails('remote', ...words)).toContain('Nothing was changed');
  expect(await ok(one, 'remote')).toContain('box');
}, 120_000);
