/** Agreement of two machines and a remote: nothing counts as sent before it was, and nobody's older word replaces a newer one. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { PushNotice } from '../../daemon/remotes/automatic/automatic.ts';
import { AroundDriver } from '../../daemon/remotes/drivers/around.ts';
import { type Driver, full, type PutOptions } from '../../daemon/remotes/drivers/driver.ts';
import { openDriver } from '../../daemon/remotes/drivers/open.ts';
import { KnownThere } from '../../daemon/remotes/known.ts';
import { pushMarks } from '../../daemon/remotes/marks.ts';
import { push } from '../../daemon/remotes/push.ts';
import { Remote } from '../../daemon/remotes/remote.ts';
import { newSession } from '../../daemon/runs/records.ts';
import { randomId } from '../../protocol/ids.ts';
import type { PushPolicy } from '../../protocol/pushing.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { emptyMachine, filesBelow, type Machine, machine, remotesOf, UNWATCHED, urlOf } from '../support/remotes.ts';
import { TestClock } from '../support/test-clock.ts';

/** Driver whose writes meet something that the test wants. */
class MeddledDriver extends AroundDriver {
  readonly #before: (key: string) => Promise<void> | void;

  constructor(inner: Driver, before: (key: string) => Promise<void> | void) {
    super(inner);
    this.#before = before;
  }

  override async put(key: string, bytes: Uint8Array, options?: PutOptions) {
    await this.#before(key);
    return super.put(key, bytes, options);
  }
}

/** Makes two machines with a run and a checkpoint that both have, by way of a remote. */
async function both(folder: string, steps = 1) {
  const one = await machine(join(folder, 'one'));
  await one.store.changeRun(one.run.id, { set: { status: 'paused' } });
  const saved = [];
  for (let step = 1; step <= steps; step++) saved.push(await save(one, makeCheckpoint(folder, one.session.id, step)));
  const two = await emptyMachine(join(folder, 'two'));
  const box = join(folder, 'box');
  for (const each of [one, two]) await each.remotes.add('box', { url: urlOf(box) }, folder);
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  return { one, two, box, saved, id: saved[0]!.id };
}

/** Opens the remote of a machine beside `Remotes`, with a driver that the test meddles with. */
function opened({ path, remotes }: Machine, before: (key: string) => Promise<void> | void): Remote {
  const { id, url } = remotes.list()[0]!;
  const driver = new MeddledDriver(
    openDriver('box', { url }, () => ({})),
    before,
  );
  return new Remote('box', id, driver, new KnownThere(join(path, 'remotes/box/known.json')));
}

const tagsOf = async ({ store }: Pick<Machine, 'store'>, id: string) => (await store.checkpoint(id))!.tags.toSorted();

test('one setting of a remote that is changed leaves the other as it is', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await one.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder, {
    push: 'last',
    bytesPerSecond: 5_000_000,
  });
  // As a message gives what was not said.
  expect(one.remotes.change('box', { push: 'all', bytesPerSecond: undefined } as never)).toMatchObject({
    push: 'all',
    bytesPerSecond: 5_000_000,
  });
  expect(one.remotes.change('box', { push: undefined, bytesPerSecond: 1_000 } as never)).toMatchObject({
    push: 'all',
    bytesPerSecond: 1_000,
  });
  expect(one.remotes.change('box', { bytesPerSecond: null })).toMatchObject({ push: 'all', bytesPerSecond: null });
});

test('tags and notes that could not be sent are sent by the next push', async () => {
  const folder = temporaryFolder();
  const { one, two, id } = await both(folder);
  await one.store.tag(id, 'paper', false);
  await one.store.changeRun(one.run.id, { set: { note: 'wider' } });
  for (const fails of ['marks/', 'runs/']) {
    const remote = opened(one, (key) => {
      if (key.startsWith(fails)) throw full('box');
    });
    const checkpoints = await one.store.checkpoints(one.run.id);
    await expect(push(remote, one, checkpoints, UNWATCHED)).rejects.toMatchObject({ code: 'remoteFull' });
  }
  const remote = opened(one, () => {});
  await push(remote, one, await one.store.checkpoints(one.run.id), UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect(await tagsOf(two, id)).toEqual(['paper']);
  expect(await two.store.requireRun(one.run.id)).toMatchObject({ note: 'wider' });
});

test('a machine that has changed nothing never sends its older note over a newer one', async () => {
  const folder = temporaryFolder();
  const { one, two } = await both(folder);
  const note = async (at: Pick<Machine, 'store'>, text?: string) => {
    const run = await at.store.requireRun(one.run.id);
    if (text !== undefined) await at.store.changeRun(run.id, { set: { note: text } });
    return run.note;
  };
  await note(one, 'first');
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  await note(two, 'second');
  await two.remotes.push('box', [], UNWATCHED);
  await save(one, makeCheckpoint(folder, one.session.id, 2));
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect(await note(two)).toBe('second');
  // A live run's own record stays; that must not count as a change of it.
  const live = await one.store.requireRun(one.run.id);
  await one.store.changeRun(live.id, { set: { status: 'running' } });
  await one.remotes.pull(['box'], UNWATCHED);
  expect(await note(one)).toBe('first');
  await one.remotes.push('box', [], UNWATCHED);
  await one.store.changeRun(one.run.id, { set: { status: 'paused' } });
  await one.remotes.pull(['box'], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect([await note(one), await note(two)]).toEqual(['second', 'second']);
  // Emptied on purpose, it stays empty.
  await note(two, '');
  await two.remotes.push('box', [], UNWATCHED);
  await one.remotes.push('box', [], UNWATCHED);
  await one.remotes.pull(['box'], UNWATCHED);
  expect([await note(one), await note(two)]).toEqual(['', '']);
});

test('a run that comes again with news keeps its pin and its branch of this machine', async () => {
  const { one, two } = await both(temporaryFolder());
  const here = { pinned: true, branchId: 'abcdefghjkmn', branch: 'here' } as const;
  await two.store.changeRun(one.run.id, { set: here });
  await one.store.changeRun(one.run.id, { set: { status: 'completed', step: 9 } });
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect(await two.store.requireRun(one.run.id)).toMatchObject({ status: 'completed', step: 9, ...here });
});

test('a run that was live when it was sent, and ended without another step, has ended on the other machine too', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await one.store.changeRun(one.run.id, { set: { status: 'running', step: 1 } });
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  const two = await emptyMachine(join(folder, 'two'));
  for (const each of [one, two]) await each.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect(await two.store.requireRun(one.run.id)).toMatchObject({ status: 'paused', origin: { wasLive: true } });
  await one.store.changeRun(one.run.id, { set: { status: 'completed', endedAt: Date.now() } });
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  expect(await two.store.requireRun(one.run.id)).toMatchObject({ status: 'completed', origin: { wasLive: false } });
});

test('two machines that send tags at the same moment lose none, and bring back none that was removed', async () => {
  const folder = temporaryFolder();
  const { one, two, id } = await both(folder);
  await one.store.tag(id, 'old', false);
  await one.remotes.push('box', [], UNWATCHED);
  await two.remotes.pull(['box'], UNWATCHED);
  await one.store.tag(id, 'ours', false);
  await two.store.tag(id, 'old', true);
  await two.store.tag(id, 'theirs', false);
  let met = false;
  const remote = opened(one, async (key) => {
    if (met || !key.startsWith('marks/')) return;
    met = true;
    // After this machine has read what is there, and before its own marks are.
    await two.remotes.push('box', [], UNWATCHED);
  });
  await pushMarks(remote, remote.there, one.run.id, await one.store.checkpoints(one.run.id), UNWATCHED.signal);
  remote.there.save();
  const three = await emptyMachine(join(folder, 'three'));
  await three.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  for (const each of [two, three]) await each.remotes.pull(['box'], UNWATCHED);
  expect(met).toBe(true);
  expect(await tagsOf(two, id)).toEqual(['ours', 'theirs']);
  expect(await tagsOf(three, id)).toEqual(['ours', 'theirs']);
});

test('one damaged object of tags, records or checkpoints is named, and costs nothing else', async () => {
  const folder = temporaryFolder();
  const { one, two, box, id, saved } = await both(folder, 3);
  await one.store.tag(id, 'paper', false);
  await one.remotes.push('box', [], UNWATCHED);
  const find = (start: string) => join(box, filesBelow(box).findLast((name) => name.startsWith(start))!);
  writeFileSync(find('marks/'), Buffer.alloc(17 << 20));
  expect(await two.remotes.fetch('box', UNWATCHED)).toMatchObject([{ problems: [expect.stringContaining('marks/')] }]);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ present: 3 });
  // With the newest record damaged the one before describes the run, and a push mends it.
  await one.store.changeRun(one.run.id, { set: { note: 'new' } });
  await one.remotes.push('box', [], UNWATCHED);
  writeFileSync(find('runs/'), 'nonsense');
  const three = await emptyMachine(join(folder, 'three'));
  await three.remotes.add('box', { url: urlOf(box) }, folder);
  writeFileSync(join(box, filesBelow(box).find((name) => name.includes(`-${saved[1]!.id}`))!), 'nonsense');
  const pulled = await three.remotes.pull(['box'], UNWATCHED);
  expect(pulled).toMatchObject({ checkpoints: 2 });
  expect(pulled.problems.length).toBeGreaterThanOrEqual(3);
  await one.remotes.push('box', [], UNWATCHED);
  await three.remotes.pull(['box'], UNWATCHED);
  const { runs } = await three.remotes.runs('box');
  expect(runs).toMatchObject([{ run: { note: 'new' } }]);
});

const POLICY: PushPolicy = { to: 'box', which: 'all', everySeconds: 0, keep: null };

/** Makes a machine with two runs whose remote is pushed to by itself. */
async function pushing(folder: string, policy: PushPolicy) {
  const one = await machine(join(folder, 'one'));
  const box = join(folder, 'box');
  await one.remotes.add('box', { url: urlOf(box) }, folder);
  await one.remotes.close();
  const [clock, told] = [new TestClock(), [] as PushNotice[]];
  const tell = (_run: string, notice: PushNotice) => void told.push(notice);
  const remotes = remotesOf(
    one.store,
    one.path,
    {},
    { policyOf: () => policy, tell, changed: () => {}, log: () => {}, clock },
  );
  return { ...one, box, clock, told, remotes };
}

test('a push sends no checkpoint that the remote does not keep', async () => {
  const folder = temporaryFolder();
  const one = await pushing(folder, { ...POLICY, keep: { last: 2, best: false } });
  const written: string[] = [];
  for (let step = 1; step <= 5; step++) await save(one, makeCheckpoint(folder, one.session.id, step));
  const manifests = () => filesBelow(one.box).filter((name) => name.startsWith('checkpoints/'));
  for (let round = 0; round < 2; round++) {
    one.remotes.automatic!.noticed(one.run.id, one.session.id);
    await one.remotes.automatic!.settled();
    written.push(...manifests());
  }
  expect(one.told).toEqual([]);
  expect(new Set(written).size).toBe(2);
  expect(manifests().map((name) => Number(/\/(\d+)-/.exec(name)![1]))).toEqual([4, 5]);
  expect(one.remotes.list()[0]).toMatchObject({ waiting: 0 });
  // Nothing was sent and deleted again: all objects there belong to the two.
  expect(await one.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 2, unused: { objects: 0 } });
});

test('a damaged object of one run holds up no other run, and the run is tried again without anything new', async () => {
  const folder = temporaryFolder();
  const one = await pushing(folder, POLICY);
  await save(one, makeCheckpoint(folder, one.session.id, 1));
  const run = await one.store.createRun({ ...one.run, id: randomId() });
  const session = newSession(run, 'train', null);
  await one.store.putSession(session);
  await save({ ...one, run, session }, makeCheckpoint(folder, session.id, 1));
  const { automatic } = one.remotes;
  // A file where a folder of the first run is needed.
  const inTheWay = join(one.box, 'checkpoints', one.run.id);
  mkdirSync(join(one.box, 'checkpoints'));
  writeFileSync(inTheWay, 'x');
  automatic!.noticed(one.run.id, one.session.id);
  automatic!.noticed(run.id, session.id);
  await automatic!.settled();
  const sent = () => filesBelow(one.box).filter((name) => /^checkpoints\/.*json$/.test(name)).length;
  expect(sent()).toBe(1);
  expect(one.remotes.state('box')).toMatchObject({ waiting: 1, failing: null });
  expect(one.told.map(({ code }) => code)).toEqual(['pushSkipped']);
  rmSync(inTheWay);
  await until('it waits', () => one.clock.untilNext);
  one.clock.pass(1_000);
  await automatic!.settled();
  expect(one.remotes.state('box')).toMatchObject({ waiting: 0, failing: null });
  expect(sent()).toBe(2);
});
