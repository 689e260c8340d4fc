/** Checkpoints that go from one store to another over a remote: whole, once, and bit for bit. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { takeSnapshot } from '../../daemon/code/snapshot.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { gitProject } from '../support/daemon.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { emptyMachine, filesBelow, machine, report, UNWATCHED, urlOf } from '../support/remotes.ts';

test('a checkpoint comes back from another machine bit for bit, with its run, tags and whole curve', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await report(one, 'loss', 0, 40);
  const saved = [];
  for (const step of [10, 20, 30]) {
    const directory = makeCheckpoint(folder, one.session.id, step, step, 6);
    saved.push({ ...(await save(one, directory)), directory });
  }
  await one.store.tag(saved[1]!.id, 'paper', false);
  await one.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  expect(await one.remotes.push(undefined, [], UNWATCHED)).toMatchObject({ checkpoints: 3, present: 0 });
  // Later points are news even without a new checkpoint; nothing else is sent again.
  await report(one, 'loss', 40, 60);
  expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 0, present: 3, objects: 0 });

  const two = await emptyMachine(join(folder, 'two'));
  expect(await two.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder)).toMatchObject({ isNew: false });
  expect(await two.remotes.fetch(undefined, UNWATCHED)).toMatchObject([
    { runs: 1, checkpoints: 3, fresh: 3, problems: [] },
  ]);
  expect((await two.remotes.runs('box')).runs).toMatchObject([{ checkpoints: 3, missing: 3, number: null }]);
  expect(await two.store.countRuns()).toBe(0);
  const pulled = await two.remotes.pull(['box/1@paper'], UNWATCHED);
  expect(pulled).toMatchObject({
    checkpoints: 1,
    checkpoint: { id: saved[1]!.id, tags: ['paper'], step: 20 },
    problems: [],
  });
  await two.store.restoreCheckpoint(saved[1]!.id, join(folder, 'back'));
  expect(
    readFileSync(join(folder, 'back', STATE_FILE)).equals(readFileSync(join(saved[1]!.directory, STATE_FILE))),
  ).toBe(true);
  const run = await two.store.requireRun(one.run.id);
  expect(run).toMatchObject({ number: 1, checkpoints: 1, status: 'paused', origin: { remote: 'box', wasLive: true } });
  expect(run.lastCheckpoint).toMatchObject({ id: saved[1]!.id });
  const [curve] = await two.store.queryMetrics(one.run.id, {});
  expect(curve!.steps).toEqual(Array.from({ length: 60 }, (_, i) => i));
  expect(curve!.values).toEqual((await one.store.queryMetrics(one.run.id, {}))[0]!.values);

  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 2, present: 1 });
  expect((await two.store.fsck(false)).problems).toEqual([]);
  // Its catalog can be rebuilt like that of any store.
  expect((await two.store.fsck(true)).rebuilt).toMatchObject({ runs: 1, checkpoints: 3, notRestored: [] });
});

test('a number that is taken here is replaced, and what two machines have in common is on the remote once', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  const two = await machine(join(folder, 'two'));
  await save(one, makeCheckpoint(folder, one.session.id, 10, 7, 8));
  await save(two, makeCheckpoint(folder, two.session.id, 10, 7, 8));
  for (const { remotes } of [one, two]) await remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  const sent = [await one.remotes.push('box', ['1'], UNWATCHED), await two.remotes.push('box', ['1@10'], UNWATCHED)];
  expect(sent[0]!.objects).toBeGreaterThan(1);
  expect(sent[1]!.objects).toBe(0);
  await expect(two.remotes.pull(['box/1'], UNWATCHED)).rejects.toMatchObject({ code: 'ambiguous' });
  await two.remotes.pull([`box/${one.run.id}@last`], UNWATCHED);
  expect(await two.store.requireRun(one.run.id)).toMatchObject({ number: 2, name: 'job #2', origin: { number: 1 } });
  expect(await two.store.requireRun(two.run.id)).toMatchObject({ number: 1, name: 'job #1' });
});

test('packed checkpoints arrive whole, without the neighbours that they are stored as differences to', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  const directories = [1, 2, 3].map((step) => makeCheckpoint(folder, one.session.id, step, 5, 2));
  directories.forEach((directory, i) => {
    const path = join(directory, STATE_FILE);
    const bytes = readFileSync(path);
    for (let at = bytes.length - 4; at > 200; at -= 4) bytes[at] = bytes[at]! ^ i;
    writeFileSync(path, bytes);
  });
  const saved = [];
  for (const directory of directories) saved.push(await save(one, directory));
  while ((await one.store.pack(1_000, 0)).more);
  await one.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  await one.remotes.push('box', [`1@${saved[2]!.step}`], UNWATCHED);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  await two.remotes.pull(['box/1@3'], UNWATCHED);
  await two.store.restoreCheckpoint(saved[2]!.id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', STATE_FILE)).equals(readFileSync(join(directories[2]!, STATE_FILE)))).toBe(
    true,
  );
});

test('the code comes along, and one that is damaged on the remote is named and left out', async () => {
  const folder = temporaryFolder();
  const root = join(folder, 'project');
  mkdirSync(root);
  writeFileSync(join(root, 'train.py'), 'print(1)\n');
  gitProject(root);
  const one = await machine(join(folder, 'one'));
  const { tree } = await takeSnapshot(root, one.path);
  one.run = await one.store.changeRun(one.run.id, { set: { code: tree } });
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  const box = join(folder, 'box');
  await one.remotes.add('box', { url: urlOf(box) }, root);
  await one.remotes.push('box', [], UNWATCHED);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(box) }, root);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
  const show = (path: string) =>
    execFileSync('git', ['--git-dir', join(path, 'code.git'), 'show', `${tree}:train.py`], { encoding: 'utf8' });
  expect(show(two.path)).toBe('print(1)\n');

  const bundle = join(box, 'code', `${tree}.bundle`);
  const bytes = readFileSync(bundle);
  bytes[bytes.length - 30] = bytes[bytes.length - 30]! ^ 1;
  writeFileSync(bundle, bytes);
  const three = await emptyMachine(join(folder, 'three'));
  await three.remotes.add('box', { url: urlOf(box) }, root);
  const pulled = await three.remotes.pull(['box'], UNWATCHED);
  expect(pulled).toMatchObject({ checkpoints: 1, problems: [expect.stringContaining(tree)] });
  expect(filesBelow(join(three.path, 'remotes')).filter((name) => name.includes('incoming'))).toEqual([]);
});

test('a place with something else in it, of another project, or gone since is refused, and nothing is written', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  const taken = join(folder, 'taken');
  mkdirSync(taken);
  writeFileSync(join(taken, 'letter.txt'), 'dear');
  const add = (name: string, at: string, root = folder) => one.remotes.add(name, { url: urlOf(at) }, root);
  await expect(add('box', taken)).rejects.toMatchObject({ code: 'remoteForeign', data: { found: 'letter.txt' } });
  expect(filesBelow(taken)).toEqual(['letter.txt']);
  for (const [name, url] of [
    ['7', urlOf(join(folder, 'box'))],
    ['a/b', urlOf(join(folder, 'box'))],
    ['models', urlOf(join(folder, 'box'))],
    ['box', 'ftp://example.org/x'],
    ['box', 'file://elsewhere/x'],
    ['box', 'no url'],
    ['box', 's3://key:secret@bucket/x'],
    ['box', 's3://bucket/../x?y'],
    ['box', 's3://B/'],
    ['box', 'ssh://-oProxyCommand=evil/x'],
    ['box', 'ssh://me:secret@host/x'],
    ['box', 'ssh://host'],
    ['box', 'rclone::s3,provider=evil:x'],
    ['box', 'rclone:--config=/etc/x:y'],
  ] as const)
    await expect(one.remotes.add(name, { url }, folder)).rejects.toMatchObject({ code: 'remoteInvalid' });
  expect(one.remotes.list()).toEqual([]);

  const roots = ['first', 'second'].map((name) => {
    const root = join(folder, name);
    mkdirSync(root);
    writeFileSync(join(root, 'a.py'), name);
    gitProject(root);
    return root;
  });
  await add('box', join(folder, 'box'), roots[0]!);
  await expect(add('other', join(folder, 'box'), roots[1]!)).rejects.toMatchObject({ code: 'remoteForeign' });

  // As an unmounted disk: an empty folder in the place of the remote.
  renameSync(join(folder, 'box'), join(folder, 'away'));
  mkdirSync(join(folder, 'box'));
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'remoteGone' });
  expect(filesBelow(join(folder, 'box'))).toEqual([]);
  rmSync(join(folder, 'box'), { recursive: true });
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'remoteGone' });
  await expect(one.remotes.fetch('box', UNWATCHED)).rejects.toMatchObject({ code: 'remoteGone' });
  // Another remote in its place since.
  await one.remotes.add('new', { url: urlOf(join(folder, 'box')) }, roots[0]!);
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'remoteForeign' });
  await expect(one.remotes.pull(['nothing/1'], UNWATCHED)).rejects.toMatchObject({ code: 'notFound' });
});
