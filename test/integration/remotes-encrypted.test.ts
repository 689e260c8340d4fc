/** Encrypted remotes: whoever has the place and not the key reads nothing, and cannot pass one thing off as another. */
import { chmodSync, copyFileSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { SealKeys } from '../../daemon/remotes/drivers/sealed.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { makeFixture } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { keyring, whyNoKeyring } from '../support/keyring.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { emptyMachine, filesBelow, machine, report, UNWATCHED, urlOf } from '../support/remotes.ts';

/** Makes a machine that has pushed two checkpoints to an encrypted remote. */
async function sealed(folder: string) {
  const one = await machine(join(folder, 'one'));
  await one.store.changeRun(one.run.id, { set: { status: 'paused', note: 'a secret plan' } });
  await report(one, 'loss', 0, 5);
  const directories = [1, 2].map((step) => makeCheckpoint(folder, one.session.id, step));
  const saved = [];
  for (const directory of directories) saved.push(await save(one, directory));
  const keyFile = join(folder, 'digits.key');
  const url = urlOf(join(folder, 'box'));
  await one.remotes.add('box', { url }, folder, { keyFile });
  await one.remotes.push('box', [], UNWATCHED);
  return { ...one, saved, directories, keyFile, url, box: join(folder, 'box') };
}

test('with the key everything comes back bit for bit; without it neither names nor bytes say anything', async () => {
  const folder = temporaryFolder();
  const one = await sealed(folder);
  expect(statSync(one.keyFile).mode & 0o777).toBe(0o600);
  const names = filesBelow(one.box);
  expect(names.length).toBeGreaterThan(4);
  const all = names.map((name) => `${name}\n${readFileSync(join(one.box, name), 'latin1')}`).join('\n');
  for (const word of ['a secret plan', 'job #1', 'checkpoint', 'objects', 'model/w', one.run.id, one.saved[0]!.id])
    expect(all.includes(word), word).toBe(false);

  const two = await emptyMachine(join(folder, 'two'));
  const add = (keyFile?: string) => two.remotes.add('box', { url: one.url }, folder, keyFile ? { keyFile } : {});
  await expect(add()).rejects.toMatchObject({ code: 'remoteSealed' });
  await expect(add(join(folder, 'missing.key'))).rejects.toMatchObject({ code: 'remoteSealed' });
  const other = await machine(join(folder, 'other'));
  await other.remotes.add('else', { url: urlOf(join(folder, 'else')) }, folder, { keyFile: join(folder, 'else.key') });
  await expect(add(join(folder, 'else.key'))).rejects.toThrow('has the key of another remote');
  for (const nonsense of ['', 'trainstash-key-1 short', 'x'.repeat(100_000)]) {
    writeFileSync(join(folder, 'nonsense.key'), nonsense);
    await expect(add(join(folder, 'nonsense.key'))).rejects.toThrow('has no key of Trainstash in it');
  }
  expect(two.remotes.list()).toEqual([]);
  writeFileSync(join(folder, 'carried.key'), await one.remotes.key('box'));
  expect(await add(join(folder, 'carried.key'))).toMatchObject({ isNew: false, remote: { isSealed: true } });
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 2, problems: [] });
  await two.store.restoreCheckpoint(one.saved[1]!.id, join(folder, 'back'));
  const [back, given] = [join(folder, 'back', STATE_FILE), join(one.directories[1]!, STATE_FILE)];
  expect(readFileSync(back).equals(readFileSync(given))).toBe(true);
  expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 0, objects: 0, present: 2 });
  expect(await two.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 2, problems: [] });
});

test('objects that are exchanged for one another, cut off or changed are refused; a key that is gone or changed stops a push', async () => {
  const folder = temporaryFolder();
  const one = await sealed(folder);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: one.url }, folder, { keyFile: one.keyFile });
  const large = filesBelow(one.box).filter((name) => statSync(join(one.box, name)).size > 500_000);
  expect(large.length).toBeGreaterThanOrEqual(2);
  const [a, b] = large.map((name) => join(one.box, name)) as [string, string];
  renameSync(a, `${folder}/aside`);
  copyFileSync(b, a);
  expect((await two.remotes.check('box', true, UNWATCHED)).problems).toHaveLength(1);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [expect.any(String)] });
  copyFileSync(`${folder}/aside`, a);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1, present: 1, problems: [] });

  await save(one, makeCheckpoint(folder, one.session.id, 3));
  const before = filesBelow(one.box);
  await one.remotes.close();
  const key = readFileSync(one.keyFile);
  rmSync(one.keyFile);
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toThrow('is not there');
  writeFileSync(one.keyFile, `trainstash-key-1 ${Buffer.alloc(32, 7).toString('base64')}`);
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toThrow('another remote');
  expect(filesBelow(one.box)).toEqual(before);
  writeFileSync(one.keyFile, key);
  expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 1 });
});

test('a remote that is not encrypted cannot become so, and one key file serves what it made', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  const url = urlOf(join(folder, 'box'));
  await one.remotes.add('plain', { url }, folder);
  await expect(one.remotes.add('box', { url }, folder, { keyFile: join(folder, 'k') })).rejects.toMatchObject({
    code: 'remoteInvalid',
  });
  await expect(one.remotes.key('plain')).rejects.toMatchObject({ code: 'remoteInvalid' });
  if (process.getuid?.() !== 0) chmodSync(folder, 0o500);
});

test('paths are sealed to the same names each time, and no sealed name can be moved to another place', () => {
  const keys = new SealKeys(Buffer.alloc(32, 1));
  const paths = ['objects/ab/x', 'a', 'checkpoints/run-1/100-é.json', `code/${'f'.repeat(64)}.bundle`];
  for (const path of paths) {
    const name = keys.sealPath(path);
    expect(name).toMatch(/^[a-z2-7/]+$/);
    expect(name).toBe(keys.sealPath(path));
    expect(keys.openPath(name)).toBe(path);
    expect(new SealKeys(Buffer.alloc(32, 2)).openPath(name)).toBeNull();
    for (const part of name.split('/')) expect(part.length).toBeLessThan(200);
  }
  const [folder, file] = keys.sealPath('runs/1').split('/') as [string, string];
  expect(keys.openPath(`${file}/${folder}`)).toBeNull();
  for (const foreign of ['', '/', '..', 'trainstash.json', 'ABC', 'a'.repeat(500)])
    expect(keys.openPath(foreign)).toBeNull();
  const bytes = keys.seal('objects/1', Buffer.from('hello'));
  expect(Buffer.from(keys.open('objects/1', bytes)!).toString()).toBe('hello');
  expect(keys.open('objects/2', bytes)).toBeNull();
  for (const at of [0, 9, 25, bytes.length - 1]) {
    const changed = Buffer.from(bytes);
    changed[at] = changed[at]! ^ 1;
    expect(keys.open('objects/1', changed)).toBeNull();
  }
  expect(keys.open('objects/1', bytes.subarray(0, 20))).toBeNull();
});

const why = whyNoKeyring();
test.skipIf(why !== null)(
  'the keyring of the desktop session keeps the key, and a file carries it to another machine',
  async () => {
    const session = await keyring();
    const fixture = makeFixture({ env: { DBUS_SESSION_BUS_ADDRESS: session.address } });
    const url = urlOf(join(fixture.folder, 'box'));
    await fixture.cli('run', 'small');
    const added = await fixture.cli('remote', 'add', 'box', url, '--encrypt');
    expect(added.stderr).toBe('');
    expect((await fixture.cli('push')).stdout).toContain('sent to box');
    const { stdout: key } = await fixture.cli('remote', 'key', 'box');
    expect(key).toMatch(/^trainstash-key-1 \S{44}\n$/);
    for (const name of filesBelow(fixture.store).filter((one) => one.startsWith('remotes/')))
      expect(readFileSync(join(fixture.store, name), 'utf8')).not.toContain(key.trim().split(' ')[1]);

    const away = makeFixture({ env: { DBUS_SESSION_BUS_ADDRESS: 'unix:path=/nowhere' } });
    rmSync(away.root, { recursive: true });
    const { execFileSync } = await import('node:child_process');
    execFileSync('git', ['clone', '-q', fixture.root, away.root], { stdio: 'pipe' });
    expect((await away.cli('clone', url)).stderr).toContain('is encrypted');
    const refused = await away.cli('remote', 'add', 'own', urlOf(join(fixture.folder, 'own')), '--encrypt');
    expect(refused.stderr).toContain('--key FILE');
    expect(filesBelow(fixture.folder).filter((name) => name.startsWith('own/'))).toEqual([]);
    writeFileSync(join(away.folder, 'box.key'), key);
    expect((await away.cli('clone', url, '--key', join(away.folder, 'box.key'))).stdout).toContain(
      'each byte verified',
    );
  },
  120_000,
);
if (why) console.warn(`THE TEST OF THE KEYRING IS SKIPPED: ${why}.`);
