/** Remotes that lie, disappear, are full or shared, and processes that are killed: every checkpoint that is there is whole. */
import { createHash } from 'node:crypto';
import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { type Database, openDatabase } from '../../base/sqlite.ts';
import { COLLECTED_AFTER_MS } from '../../daemon/remotes/collect.ts';
import { checksumOf } from '../../daemon/store/objects/checksum.ts';
import { MIN_CHECKSUM_BYTES } from '../../daemon/store/objects/limits.ts';
import { temporaryFolder } from '../support/folder.ts';
import { killedTransfers } from '../support/killed-transfers.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { emptyMachine, filesBelow, type Machine, machine, remotesOf, UNWATCHED, urlOf } from '../support/remotes.ts';
import { FULL } from '../support/sample.ts';
import { fill, onSmallDisk, smallDisk } from '../support/small-disk.ts';

/** Makes a machine that has pushed one checkpoint of a mebibyte. */
async function pushed(
  folder: string,
  mebibytes = 1,
): Promise<Machine & { box: string; checkpoint: string; manifest: string }> {
  const one = await machine(join(folder, 'one'));
  const { id } = await save(one, makeCheckpoint(folder, one.session.id, 1, 1, mebibytes));
  const box = join(folder, 'box');
  await one.remotes.add('box', { url: urlOf(box) }, folder);
  await one.remotes.push('box', [], UNWATCHED);
  const manifest = join(box, filesBelow(box).find((name) => name.startsWith('checkpoints/'))!);
  return { ...one, box, checkpoint: id, manifest };
}

// biome-ignore lint/suspicious/noExplicitAny: lies have any shape
type Content = any;

/** Writes a manifest with other contents, and the right checksum: a liar can compute it. */
function lie(manifest: string, change: (content: Content) => void): void {
  const content = JSON.parse(readFileSync(manifest, 'utf8').split('\n')[0]!);
  change(content);
  const line = `${JSON.stringify(content)}\n`;
  writeFileSync(manifest, `${line}${createHash('sha256').update(line).digest('hex')}\n`);
}

test('pushes and pulls that are killed at any moment leave whole checkpoints only, and the next one goes on', async () => {
  const kills = Number(process.env.TRAINSTASH_TEST_KILLS ?? 4);
  const { broken, unfinished } = await killedTransfers(temporaryFolder(), kills);
  expect(broken).toEqual([]);
  if (kills > 50) expect(unfinished).toBeGreaterThan(10);
}, 3_600_000);

test('a manifest that lies about sizes, names, chunks or whose it is is refused, and the store is as before', async () => {
  const folder = temporaryFolder();
  const { box, manifest } = await pushed(folder);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(box) }, folder);
  const truth = readFileSync(manifest);
  const lies: Record<string, (content: Content) => void> = {
    'a larger file': ({ body }) => (body.files[0].bytes += 1),
    'fewer chunks': ({ chunks }) => chunks.pop(),
    'a chunk too many': ({ chunks }) => chunks.push(chunks[0]),
    'a name outside': ({ body }) => {
      body.files[0].name = '../../escaped';
      body.checkpoint.files[0].name = '../../escaped';
    },
    'a name in git': ({ body }) => {
      body.files[0].name = '.git/hooks/post-checkout';
      body.checkpoint.files[0].name = '.git/hooks/post-checkout';
    },
    'a huge chunk': ({ chunks, body }) => {
      chunks[0][1] = 2 ** 40;
      body.files[0].bytes = 2 ** 40;
    },
    'a hash that leads elsewhere': ({ chunks }) => (chunks[0][0] = `../../../${'a'.repeat(55)}`),
    'an ending that leads elsewhere': ({ chunks }) => (chunks[0][2] = '/../x'),
    'a delta': ({ chunks }) => (chunks[0][2] = '.z18'),
    'another remote': (content) => (content.remote = 'somewhere-else'),
    'another run': ({ body }) => (body.run.id = 'otherrun'),
    'another step': ({ body }) => (body.checkpoint.step = 7),
    'no checkpoint': (content) => (content.body = { hello: 1 }),
    'nothing at all': (content) => {
      for (const key of Object.keys(content)) delete content[key];
    },
  };
  // Writing it takes longer than all others.
  if (FULL)
    lies['a million and one chunks'] = (content) => {
      content.chunks = Array.from({ length: 1_000_001 }, () => ['a'.repeat(64), 0, '']);
    };
  for (const [what, change] of Object.entries(lies)) {
    writeFileSync(manifest, truth);
    lie(manifest, change);
    const [{ checkpoints, problems }] = (await two.remotes.fetch('box', UNWATCHED)) as [never];
    expect([what, checkpoints, (problems as string[]).length]).toEqual([what, 0, 1]);
  }
  writeFileSync(manifest, truth.subarray(0, truth.length - 100));
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 0, problems: [expect.any(String)] });
  // A manifest that was right when it was fetched, and lies when it is pulled.
  writeFileSync(manifest, truth);
  await two.remotes.fetch('box', UNWATCHED);
  lie(manifest, ({ body }) => (body.files[0].bytes += 1));
  await expect(two.remotes.pull(['box'], UNWATCHED)).rejects.toMatchObject({ code: 'remoteDamaged' });
  expect(await two.store.usage()).toMatchObject({ checkpoints: 0 });
  writeFileSync(manifest, truth);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1 });
});

test('objects with wrong bytes, cut off, missing, links or huge are refused by name; a check finds them all', async () => {
  const folder = temporaryFolder();
  const { box, manifest } = await pushed(folder);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(box) }, folder);
  const name = filesBelow(box)
    .filter((file) => file.startsWith('objects/'))
    .at(-1)!;
  const object = join(box, name);
  const right = readFileSync(object);
  const damages: Record<string, () => void> = {
    'one bit': () =>
      writeFileSync(
        object,
        right.map((byte, i) => (i === right.length >> 1 ? byte ^ 1 : byte)),
      ),
    'cut off': () => writeFileSync(object, right.subarray(0, right.length - 1)),
    'too long': () => writeFileSync(object, Buffer.concat([right, Buffer.alloc(5 << 20)])),
    empty: () => writeFileSync(object, ''),
    missing: () => rmSync(object),
    'a link': () => {
      rmSync(object);
      writeFileSync(join(folder, 'secret'), right);
      symlinkSync(join(folder, 'secret'), object);
    },
  };
  for (const [what, damage] of Object.entries(damages)) {
    damage();
    const outcome = await two.remotes.pull(['box'], UNWATCHED).then(
      () => 'works',
      (error) => error.code,
    );
    expect([what, outcome]).toEqual([what, 'remoteDamaged']);
    const { problems } = await two.remotes.check('box', true, UNWATCHED);
    expect([what, problems.length > 0]).toEqual([what, true]);
    rmSync(object, { force: true });
    writeFileSync(object, right);
  }
  expect((await two.store.fsck(false)).problems).toEqual([]);
  expect(await two.remotes.check('box', true, UNWATCHED)).toMatchObject({
    checkpoints: 1,
    problems: [],
    unused: { objects: 0 },
  });
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
  // A folder of the remote that leads out of it is not followed, and nothing there is touched.
  const outside = join(folder, 'outside');
  cpSync(join(box, 'checkpoints'), outside, { recursive: true });
  rmSync(join(box, 'checkpoints'), { recursive: true });
  symlinkSync(outside, join(box, 'checkpoints'));
  const before = filesBelow(outside);
  const three = await machine(join(folder, 'three'));
  await save(three, makeCheckpoint(folder, three.session.id, 2));
  await three.remotes.add('box', { url: urlOf(box) }, folder);
  await expect(three.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'remoteDamaged' });
  expect(filesBelow(outside)).toEqual(before);
  expect(manifest).toContain('checkpoints');
});

test('a record of a run that lies is refused, and no run of it is here', async () => {
  const folder = temporaryFolder();
  const { box } = await pushed(folder);
  const record = join(box, filesBelow(box).find((name) => name.startsWith('runs/'))!);
  const right = readFileSync(record);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(box) }, folder);
  const spoil: Buffer[] = [
    Buffer.alloc(0),
    Buffer.from('TSTRUN01'),
    right.subarray(0, right.length - 1),
    Buffer.alloc(100_000, 1),
  ];
  for (const at of [9, 20, 60, right.length - 5]) {
    const changed = Buffer.from(right);
    changed[at] = changed[at]! ^ 1;
    spoil.push(changed);
  }
  for (const [i, bytes] of spoil.entries()) {
    writeFileSync(record, bytes);
    const outcome = await two.remotes.pull(['box'], UNWATCHED).then(
      ({ problems }) => problems.length,
      (error) => error.code,
    );
    expect([i, outcome]).toEqual([i, outcome === 'remoteDamaged' ? outcome : 1]);
    rmSync(join(two.path, 'remotes/box/fetched.json'), { force: true });
  }
  expect(await two.store.countRuns()).toBe(0);
});

test('two machines that push the same content at once, again and again, leave whole checkpoints of both', async () => {
  const folder = temporaryFolder();
  const both = [await machine(join(folder, 'one')), await machine(join(folder, 'two'))];
  for (const { remotes } of both) await remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  const rounds = Number(process.env.TRAINSTASH_TEST_ROUNDS ?? 3);
  for (let round = 1; round <= rounds; round++) {
    for (const one of both) await save(one, makeCheckpoint(folder, one.session.id, round, round, 2));
    await Promise.all(both.map(({ remotes }) => remotes.push('box', [], UNWATCHED)));
  }
  const report = await both[0]!.remotes.check('box', true, UNWATCHED);
  expect(report).toMatchObject({ checkpoints: 2 * rounds, problems: [] });
}, 600_000);

test('a collection deletes what no checkpoint needs a day later, and never what a push needs that skipped it', async () => {
  const folder = temporaryFolder();
  const one = await pushed(folder, 2);
  const { box, manifest } = one;
  const object = (name: string) => name.startsWith('objects/');
  const all = filesBelow(box).filter(object);
  const two = await machine(join(folder, 'two'));
  await save(two, makeCheckpoint(folder, two.session.id, 1, 1, 2));
  await two.remotes.add('box', { url: urlOf(box) }, folder);
  // As a pusher that has just listed the objects, which then lose their only manifest and are noted.
  const kept = readFileSync(manifest);
  rmSync(manifest);
  const noted = await one.remotes.collect('box', false, UNWATCHED);
  expect(noted).toMatchObject({ deleted: { objects: 0 }, noted: { objects: all.length } });
  expect(noted.deletableAt).toBeGreaterThan(Date.now() + COLLECTED_AFTER_MS / 2);
  // At once nothing can go, however often it is asked.
  expect(await one.remotes.collect('box', false, UNWATCHED)).toMatchObject({ deleted: { objects: 0 } });
  await two.remotes.push('box', [], UNWATCHED);
  agePlaces(box);
  expect(await one.remotes.collect('box', true, UNWATCHED)).toMatchObject({ deleted: { objects: all.length } });
  expect(filesBelow(box).filter(object)).toEqual(expect.arrayContaining(all));
  expect(await one.remotes.collect('box', false, UNWATCHED)).toMatchObject({ deleted: { objects: all.length } });
  for (const name of all) expect(filesBelow(box)).not.toContain(name);
  expect(await one.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
  // One whose manifest came back in time stays; a manifest that cannot be read stops everything.
  writeFileSync(manifest, kept);
  expect((await one.remotes.check('box', false, UNWATCHED)).problems).toHaveLength(1);
  writeFileSync(manifest, kept.subarray(0, 100));
  await expect(one.remotes.collect('box', false, UNWATCHED)).rejects.toMatchObject({ code: 'remoteDamaged' });
});

/** Returns a machine whose pushes wait for `work` after they have found what is there, and before they look again. */
async function interrupted(path: string, work: () => Promise<unknown>): Promise<Machine> {
  const own = await machine(path);
  const store = new Proxy(own.store, {
    get(target, name) {
      const value = Reflect.get(target, name);
      if (typeof value !== 'function') return value;
      if (name !== 'exchangedRun') return value.bind(target);
      return async (...args: unknown[]) => {
        await work();
        return value.apply(target, args);
      };
    },
  });
  return { ...own, store, remotes: remotesOf(store, path) };
}

test('a push that goes on while a collection notes what it found ends with a checkpoint that a day later is whole', async () => {
  const folder = temporaryFolder();
  const one = await pushed(folder, 2);
  rmSync(one.manifest);
  const two = await interrupted(join(folder, 'two'), () => one.remotes.collect('box', false, UNWATCHED));
  await save(two, makeCheckpoint(folder, two.session.id, 1, 1, 2));
  await two.remotes.add('box', { url: urlOf(one.box) }, folder);
  await two.remotes.push('box', [], UNWATCHED);
  agePlaces(one.box);
  expect(await one.remotes.collect('box', false, UNWATCHED)).toMatchObject({ deleted: { objects: 2 } });
  const { checkpoints, problems } = await two.remotes.check('box', true, UNWATCHED);
  expect([checkpoints, problems]).toEqual([1, []]);
});

test('a laptop that sleeps for a day in the middle of a push sends what a collection has deleted', async () => {
  const folder = temporaryFolder();
  const one = await pushed(folder, 2);
  rmSync(one.manifest);
  vi.useFakeTimers({ toFake: ['Date'] });
  try {
    const two = await interrupted(join(folder, 'two'), async () => {
      await one.remotes.collect('box', false, UNWATCHED);
      agePlaces(one.box);
      await one.remotes.collect('box', false, UNWATCHED);
      vi.setSystemTime(Date.now() + COLLECTED_AFTER_MS);
    });
    await save(two, makeCheckpoint(folder, two.session.id, 1, 1, 2));
    await two.remotes.add('box', { url: urlOf(one.box) }, folder);
    await two.remotes.push('box', [], UNWATCHED);
    const { checkpoints, problems } = await two.remotes.check('box', true, UNWATCHED);
    expect([checkpoints, problems]).toEqual([1, []]);
  } finally {
    vi.useRealTimers();
  }
});

onSmallDisk('a remote on a full disk says so; what is there is whole, and with room the push goes on', async () => {
  const disk = smallDisk(24);
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await one.remotes.add('box', { url: urlOf(join(disk, 'box')) }, folder);
  await save(one, makeCheckpoint(folder, one.session.id, 1, 1, 4));
  await one.remotes.push('box', [], UNWATCHED);
  const filler = fill(disk, 2 << 20);
  await save(one, makeCheckpoint(folder, one.session.id, 2, 2, 8));
  await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'remoteFull' });
  expect(await one.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
  rmSync(filler);
  expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 1 });
  expect(await one.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 2, problems: [] });
});

test('what does not fit under the quota is not taken in, and displaces nothing', async () => {
  const folder = temporaryFolder();
  const { box } = await pushed(folder, 12);
  const two = await machine(join(folder, 'two'), 10 << 20);
  const own = await save(two, makeCheckpoint(folder, two.session.id, 5, 5, 1));
  await two.remotes.add('box', { url: urlOf(box) }, folder);
  await expect(two.remotes.pull(['box'], UNWATCHED)).rejects.toMatchObject({ code: 'storeFull' });
  expect((await two.store.checkpoints(two.run.id)).map(({ id }) => id)).toEqual([own.id]);
});

test('a transfer that is cancelled leaves nothing half done, and goes on the next time', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await save(one, makeCheckpoint(folder, one.session.id, 1, 1, 24));
  await one.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  const cancelling = () => {
    const controller = new AbortController();
    let calls = 0;
    return { signal: controller.signal, progress: () => void (++calls === 4 && controller.abort()) };
  };
  await expect(one.remotes.push('box', [], cancelling())).rejects.toMatchObject({ code: 'cancelled' });
  expect(await one.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 0, problems: [] });
  await one.remotes.push('box', [], UNWATCHED);
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(join(folder, 'box')) }, folder);
  await expect(two.remotes.pull(['box'], cancelling())).rejects.toMatchObject({ code: 'cancelled' });
  expect(await two.store.usage()).toMatchObject({ checkpoints: 0 });
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1 });
  expect((await two.store.fsck(false)).problems).toEqual([]);
});

/** Makes the lists of a collection two days old: their names have the time. */
function agePlaces(box: string): void {
  for (const name of filesBelow(box).filter((file) => file.startsWith('gc/'))) {
    const at = Number(name.slice(3, 18)) - 2 * COLLECTED_AFTER_MS;
    cpSync(join(box, name), join(box, `gc/${String(at).padStart(15, '0')}${name.slice(18)}`));
    rmSync(join(box, name));
  }
}

test('objects that a folder could not sync are sent again, not taken for there', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  await save(one, makeCheckpoint(folder, one.session.id, 1, 1, 6));
  const box = join(folder, 'box');
  await one.remotes.add('box', { url: urlOf(box) }, folder);
  // In the last moment before the objects get their names, their temporary ones are gone, as with a disk that was unplugged.
  let sent = 0;
  const progress = () => {
    if (++sent === 4) for (const name of filesBelow(join(box, 'unfinished'))) rmSync(join(box, 'unfinished', name));
  };
  await expect(one.remotes.push('box', [], { signal: UNWATCHED.signal, progress })).rejects.toMatchObject({
    code: 'remoteGone',
  });
  expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 1 });
  expect(await one.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
});

test('bytes that were changed together with their checksum are not sent, and each chunk that comes in has a checksum', async () => {
  const folder = temporaryFolder();
  const one = await machine(join(folder, 'one'));
  for (const step of [1, 2]) await save(one, makeCheckpoint(folder, one.session.id, step, step, 2));
  await one.remotes.close();
  await one.store.close();
  const objects = (path: string, work: (database: Database) => unknown) => {
    const database = openDatabase(join(path, 'objects.db'));
    try {
      return work(database);
    } finally {
      database.close();
    }
  };
  objects(one.path, (database) => {
    const { id, hash, data } = database.prepare('SELECT id, hash, data FROM chunk WHERE size > 1000').get()!;
    data[5] ^= 16;
    database.prepare('UPDATE chunk SET data = ? WHERE id = ?').run(data, id);
    database.prepare('UPDATE checksum SET sum = ? WHERE chunk = ?').run(checksumOf(data, hash), id);
  });
  const again = await emptyMachine(one.path);
  const box = join(folder, 'box');
  await again.remotes.add('box', { url: urlOf(box) }, folder);
  await expect(again.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'corrupted' });
  // The other checkpoint is there, whole.
  expect(await again.remotes.check('box', true, UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
  const two = await emptyMachine(join(folder, 'two'));
  await two.remotes.add('box', { url: urlOf(box) }, folder);
  expect(await two.remotes.pull(['box'], UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
  await two.remotes.close();
  await two.store.close();
  const without = `SELECT count(*) AS n FROM chunk LEFT JOIN checksum ON chunk = id WHERE size >= ${MIN_CHECKSUM_BYTES} AND sum IS NULL`;
  objects(two.path, (database) => expect(database.prepare(without).get()!.n).toBe(0));
});
