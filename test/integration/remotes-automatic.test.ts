/** Pushes that happen by themselves: what jobs want to have elsewhere goes there, later if it must, and never to a place that nobody accepted. */
import { existsSync, renameSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PushNotice } from '../../daemon/remotes/automatic/automatic.ts';
import { chosenToSend } from '../../daemon/remotes/automatic/chosen.ts';
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { remoteList, remotesChanged } from '../../protocol/messages/remote.ts';
import { runShow } from '../../protocol/messages/run.ts';
import type { PushPolicy } from '../../protocol/pushing.ts';
import { kill, makeFixture, openProject, SMALL_JOB, startSmall, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { emptyMachine, filesBelow, machine, remotesOf, UNWATCHED, urlOf } from '../support/remotes.ts';
import { TestClock } from '../support/test-clock.ts';

const manifests = (box: string): string[] =>
  existsSync(box) ? filesBelow(box).filter((name) => name.startsWith('checkpoints/')) : [];

const POLICY: PushPolicy = { to: 'box', which: 'all', everySeconds: 0, keep: null };

const ofPushes = ({ notices }: Run) => notices.filter(({ code }) => code.startsWith('push'));

/** Makes a machine whose remote is pushed to by itself, at times that the test decides. */
async function pushing(folder: string, policy: PushPolicy = POLICY) {
  const one = await machine(join(folder, 'one'));
  const box = join(folder, 'box');
  await one.remotes.add('box', { url: urlOf(box) }, folder);
  await one.remotes.close();
  const clock = new TestClock();
  const told: PushNotice[] = [];
  const open = () =>
    remotesOf(
      one.store,
      one.path,
      {},
      { policyOf: () => policy, tell: (_run, notice) => told.push(notice), changed: () => {}, log: () => {}, clock },
    );
  const noticed = (remotes: ReturnType<typeof open>) => remotes.automatic!.noticed(one.run.id, one.session.id);
  return { ...one, box, clock, told, open, noticed };
}

test('an hour without the remote is told once, tried less and less often, and made up for after a new start', async () => {
  const folder = temporaryFolder();
  const one = await pushing(folder);
  let remotes = one.open();
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  one.noticed(remotes);
  await remotes.automatic!.settled();
  expect(manifests(one.box)).toHaveLength(1);

  renameSync(one.box, join(folder, 'unplugged'));
  const pauses: number[] = [];
  for (let step = 2; one.clock.now() < 1_000_000 + 3_600_000; step++) {
    if (step < 6) await save(one, makeCheckpoint(folder, one.session.id, step));
    if (step < 6) one.noticed(remotes);
    await remotes.automatic!.settled();
    const ms = await until('it waits for the next attempt', () => one.clock.untilNext);
    pauses.push(ms);
    one.clock.pass(ms);
  }
  await remotes.automatic!.settled();
  expect(one.told.map(({ code }) => code)).toEqual(['pushFails']);
  expect(pauses.slice(0, 4)).toEqual([1000, 2000, 4000, 8000]);
  expect(Math.max(...pauses)).toBe(300_000);
  expect(pauses.length).toBeLessThan(25);
  expect(remotes.state('box')).toMatchObject({ waiting: 1, failing: { since: 1_000_000 } });
  expect(remotes.automatic!.busy).toBe(true);

  // The machine starts again; the remote is back.
  await remotes.close();
  renameSync(join(folder, 'unplugged'), one.box);
  remotes = one.open();
  await until('it waits for its turn', () => one.clock.untilNext);
  one.clock.pass(300_000);
  await remotes.automatic!.settled();
  expect(manifests(one.box)).toHaveLength(5);
  expect(one.told.map(({ code }) => code)).toEqual(['pushFails', 'pushGoesOn']);
  expect(remotes.state('box')).toMatchObject({ waiting: 0, failing: null });
  expect(remotes.automatic!.busy).toBe(false);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(one.box) }, folder);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 5, problems: [] });
});

test('a remote that lost its marker, or belongs to another project by now, gets nothing', async () => {
  const folder = temporaryFolder();
  const one = await pushing(folder);
  const remotes = one.open();
  const other = await machine(join(folder, 'other'));
  renameSync(one.box, join(folder, 'away'));
  await other.remotes.add('theirs', { url: urlOf(one.box) }, folder);
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  one.noticed(remotes);
  await remotes.automatic!.settled();
  expect(manifests(one.box)).toEqual([]);
  expect(one.told).toMatchObject([{ code: 'pushFails', text: expect.stringContaining('now holds another remote') }]);
});

test('a live run is sent at most as often as its job says, and what came meanwhile together', async () => {
  const folder = temporaryFolder();
  const one = await pushing(folder, { ...POLICY, everySeconds: 600 });
  await one.store.changeRun(one.run.id, { set: { status: 'running' } });
  const remotes = one.open();
  for (const step of [1, 2, 3]) {
    await save(one, makeCheckpoint(folder, one.session.id, step));
    one.noticed(remotes);
    await remotes.automatic!.settled();
  }
  expect(manifests(one.box)).toHaveLength(1);
  await until('it waits', () => one.clock.untilNext === 600_000);
  one.clock.pass(600_000);
  await remotes.automatic!.settled();
  expect(manifests(one.box)).toHaveLength(3);
  await save(one, makeCheckpoint(folder, one.session.id, 4));
  await one.store.changeRun(one.run.id, { set: { status: 'completed' } });
  one.noticed(remotes);
  await remotes.automatic!.settled();
  expect(manifests(one.box)).toHaveLength(4);
});

test('the remote keeps what the job says, and all that somebody has tagged, here or there', async () => {
  const folder = temporaryFolder();
  const one = await pushing(folder, { ...POLICY, keep: { last: 2, best: true } });
  await one.store.changeRun(one.run.id, { set: { monitor: { metric: 'loss', mode: 'min' } } });
  const remotes = one.open();
  const saved: Checkpoint[] = [];
  const losses = [5, 1, 4, 3, 6, 7, 8];
  for (const [i, loss] of losses.slice(0, 3).entries())
    saved.push(await save(one, makeCheckpoint(folder, one.session.id, i + 1, i, 1, { metrics: { loss } })));
  await one.store.tag(saved[0]!.id, 'paper', false);
  one.noticed(remotes);
  await remotes.automatic!.settled();
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(one.box) }, folder);
  await two.remotes.pull(['box'], UNWATCHED);
  await two.store.tag(saved[2]!.id, 'theirs', false);
  await two.remotes.push('box', [], UNWATCHED);
  for (const [i, loss] of losses.slice(3).entries()) {
    saved.push(await save(one, makeCheckpoint(folder, one.session.id, i + 4, i + 4, 1, { metrics: { loss } })));
    // Nothing of it is here any more: what is there is the only copy.
    if (i === 0) await one.store.setTrash(saved[1]!.id, 1);
    one.noticed(remotes);
    await remotes.automatic!.settled();
  }
  expect(one.told).toEqual([]);
  const steps = manifests(one.box).map((name) => Number(/\/(\d+)-/.exec(name)![1]));
  // 1 is tagged here, 2 the best, 3 tagged there, 6 and 7 the last.
  expect(steps).toEqual([1, 2, 3, 6, 7]);
  expect(await two.remotes.fetch('box', UNWATCHED)).toMatchObject([{ checkpoints: 5, problems: [] }]);
  expect(filesBelow(join(one.box, 'gc'))).toHaveLength(1);
});

test('tags, proofs and notes that change after a push follow in both directions, and neither side undoes the other', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await one.store.changeRun(one.run.id, { set: { status: 'paused' } });
  const two = await emptyMachine(join(folder, 'two'));
  const { id } = await save(one, makeCheckpoint(folder, one.session.id, 1));
  const later = await save(one, makeCheckpoint(folder, one.session.id, 2));
  await one.store.tag(id, 'old', false);
  for (const each of [one, two]) await each.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  const tags = async (at: typeof two, checkpoint = id) => (await at.store.checkpoint(checkpoint))!.tags.toSorted();
  await one.store.tag(id, 'old', true);
  await one.store.tag(id, 'ours', false);
  await two.store.tag(id, 'theirs', false);
  await two.store.tag(later.id, 'best', false);
  await two.store.changeRun(one.run.id, { set: { note: 'try again wider' } });
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.push('box', [], UNWATCHED);
  await one.remotes.pull(['box'], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect(await tags(one)).toEqual(['ours', 'theirs']);
  expect(await tags(two)).toEqual(['ours', 'theirs']);
  expect(await tags(one, later.id)).toEqual(['best']);
  expect(await one.store.requireRun(one.run.id)).toMatchObject({ note: 'try again wider' });
  for (const each of [one, two]) await each.remotes.push('box', [], UNWATCHED);
  expect(filesBelow(join(folder, 'box', 'marks'))).toHaveLength(2);
  // A third machine sees the present tags without any history.
  const three = await emptyMachine(join(folder, 'three'));
  await three.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  expect(await three.remotes.pull(['box/1@theirs'], UNWATCHED)).toMatchObject({ checkpoint: { id } });
});

test('only the best and the last are chosen where a job wants no more; without a metric the last is both', () => {
  const checkpoint = (step: number, loss: number) =>
    ({ id: `c${step}`, step, createdAt: step, metrics: { loss }, reasons: [], tags: [] }) as unknown as Checkpoint;
  const all = [checkpoint(1, 3), checkpoint(2, 1), checkpoint(3, 2)];
  const monitor = { metric: 'loss', mode: 'min' as const };
  const ids = (...given: Parameters<typeof chosenToSend>) => chosenToSend(...given).map(({ id }) => id);
  expect(ids(all, 'best,last', monitor)).toEqual(['c2', 'c3']);
  expect(ids(all, 'best', monitor)).toEqual(['c2']);
  expect(ids(all, 'best', null)).toEqual(['c3']);
  expect(ids(all, 'last', monitor)).toEqual(['c3']);
  expect(ids(all, 'none', monitor)).toEqual([]);
  expect(ids([], 'best,last', monitor)).toEqual([]);
});

test('a job pushes by itself only after somebody has accepted the remote here, and a killed daemon goes on', async () => {
  const folder = temporaryFolder();
  const box = join(folder, 'box');
  const config = {
    remotes: { box: { url: urlOf(box) } },
    jobs: { small: { ...SMALL_JOB, push: 'box' } },
  };
  const fixture = makeFixture({ config });
  const client = await openProject(fixture);
  const first = await startSmall(client, fixture);
  await untilStatus(client, fixture, first.id, 'completed');
  const { run } = await client.request(runShow, { root: fixture.root, run: first.id });
  expect(ofPushes(run)).toMatchObject([{ code: 'pushNotAccepted', text: expect.stringContaining('remote add box') }]);
  expect(existsSync(box)).toBe(false);
  expect((await fixture.cli('remote')).stdout.replace(/\s+/g, ' ')).toContain('would be sent there by themselves');
  const refused = await fixture.cli('remote', 'add', 'box');
  expect(refused.code).toBe(1);
  expect(refused.stdout).toContain('Nothing was added');
  expect((await fixture.cli('run', 'small', '--detach')).stderr).toContain('was not accepted on this machine');
  expect((await fixture.cli('remote', 'add', 'box', '--yes')).stdout).toContain('Added box');

  const reports: number[] = [];
  client.on(remotesChanged, ({ remotes }) => reports.push(remotes[0]!.waiting));
  const second = await startSmall(client, fixture);
  await untilStatus(client, fixture, second.id, 'completed');
  const { checkpoints } = await client.request(runShow, { root: fixture.root, run: second.id });
  // One that retention has removed since may have been sent as well.
  await until('all of its checkpoints are there', () =>
    checkpoints.every(({ id }) => manifests(box).some((name) => name.includes(id))),
  );
  await until('clients heard of it', () => reports.includes(0));

  expect((await fixture.cli('tag', `${second.number}@last`, 'paper')).stderr).toBe('');
  await until('its tag follows', () => filesBelow(box).some((name) => name.startsWith(`marks/${second.id}/`)));

  // The daemon is killed while the remote is away; the next one sends what waited.
  renameSync(box, join(folder, 'away'));
  const third = await startSmall(client, fixture);
  await untilStatus(client, fixture, third.id, 'completed');
  await until('it failed', async () => {
    const { remotes } = await client.request(remoteList, { root: fixture.root });
    return remotes[0]!.failing !== null;
  });
  kill(fixture.daemonPid(), 'SIGKILL');
  await client.closed;
  renameSync(join(folder, 'away'), box);
  const again = await openProject(fixture);
  await until('the third run is there', () => manifests(box).some((name) => name.includes(third.id)));
  const shown = await until('it was told that it goes on', async () => {
    const { run: now } = await again.request(runShow, { root: fixture.root, run: third.id });
    return now.notices.some(({ code }) => code === 'pushGoesOn') && now;
  });
  expect(ofPushes(shown).map(({ code }) => code)).toEqual(['pushFails', 'pushGoesOn']);
}, 120_000);
