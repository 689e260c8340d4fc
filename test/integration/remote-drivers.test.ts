/** The contract of drivers, with every kind of remote: `npm run test:remotes` has all of them, other runs the usual ones. */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Driver, keysOf } from '../../daemon/remotes/drivers/driver.ts';
import { inParallel } from '../../daemon/remotes/drivers/in-parallel.ts';
import { openDriver } from '../../daemon/remotes/drivers/open.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, save } from '../support/random-checkpoints.ts';
import { KINDS, type RemoteUnderTest } from '../support/remote-kinds.ts';
import { emptyMachine, machine, UNWATCHED } from '../support/remotes.ts';

const HAS_ALL = Boolean(process.env.TRAINSTASH_TEST_REMOTES);
const MAX = { maxBytes: 64 << 20 };

for (const kind of KINDS) {
  if (!kind.isUsual && !HAS_ALL) continue;
  const why = kind.why();
  if (why !== null) console.warn(`TESTS OF THE REMOTE ${kind.name} ARE SKIPPED: ${why}.`);
  describe.skipIf(why !== null)(kind.name, () => {
    const open = (under: RemoteUnderTest): Driver => {
      const inner = openDriver('box', under.place, () => under.variables);
      const driver = kind.wrap?.(inner) ?? inner;
      afterwards(() => driver.close());
      return driver;
    };

    // Starting a server takes longer than all that it is asked.
    const inDetail = HAS_ALL || kind.name === 'folder' ? test : () => {};

    inDetail('objects appear complete under their names, are found, replaced and deleted', async () => {
      const under = await kind.make();
      const driver = open(under);
      expect(await driver.exists()).toBe(true);
      expect(await driver.get('objects/aa/none', MAX)).toBe(null);
      expect(await driver.stat('objects/aa/none')).toBe(null);
      await driver.delete('objects/aa/none');
      expect(await keysOf(driver, '')).toEqual([]);
      const contents = new Map([
        ['objects/aa/empty', Buffer.alloc(0)],
        ['objects/aa/small', Buffer.from('small')],
        ['objects/ab/large.z1-x_y', randomBytes(5 << 20)],
        ['runs/r-1/00000001-abc.run', randomBytes(1000)],
        ['runs/r-10/00000001-abc.run', randomBytes(10)],
      ]);
      for (const [key, bytes] of contents) expect(await driver.put(key, bytes)).toBe('written');
      await driver.settle();
      for (const [key, bytes] of contents) {
        expect([key, bytes.equals((await driver.get(key, MAX))!)]).toEqual([key, true]);
        const { changedAt, ...entry } = (await driver.stat(key))!;
        expect(entry).toEqual({ key, bytes: bytes.length });
        expect(Math.abs(changedAt - Date.now())).toBeLessThan(120_000);
      }
      const listed = async (prefix: string) => (await keysOf(driver, prefix)).map(({ key }) => key).sort();
      expect(await listed('')).toEqual([...contents.keys()].sort());
      expect(await listed('objects/')).toEqual([...contents.keys()].slice(0, 3));
      expect(await listed('runs/r-1/')).toEqual(['runs/r-1/00000001-abc.run']);
      expect(await listed('runs/none/')).toEqual([]);
      const first = await driver.get('objects/ab/large.z1-x_y', { maxBytes: 100, first: 100 });
      expect(contents.get('objects/ab/large.z1-x_y')!.subarray(0, 100).equals(first!)).toBe(true);
      expect(await driver.get('objects/aa/small', { maxBytes: 100, first: 100 })).toHaveLength(5);
      await expect(driver.get('objects/ab/large.z1-x_y', { maxBytes: 1000 })).rejects.toMatchObject({
        code: 'remoteDamaged',
      });
      await driver.put('objects/aa/small', Buffer.from('other'));
      await driver.settle();
      expect(Buffer.from((await driver.get('objects/aa/small', MAX))!).toString()).toBe('other');
      await driver.delete('objects/aa/small');
      expect(await driver.get('objects/aa/small', MAX)).toBe(null);
      expect(Math.abs((await driver.now()) - Date.now())).toBeLessThan(120_000);
    });

    inDetail('many at once, more than one page of them, and a transfer that is cancelled', async () => {
      const driver = open(await kind.make());
      const count = HAS_ALL && kind.name !== 'rclone' ? 1_100 : 60;
      const keys = Array.from({ length: count }, (_, i) => `objects/${String(i % 16).padStart(2, '0')}/${i}`);
      await inParallel(keys, 16, undefined, async (key) => void (await driver.put(key, Buffer.from(key))));
      await driver.settle();
      expect((await keysOf(driver, 'objects/')).map(({ key }) => key).sort()).toEqual(keys.sort());
      await inParallel(keys.slice(0, 50), 16, undefined, async (key) => {
        expect(Buffer.from((await driver.get(key, MAX))!).toString()).toBe(key);
      });
      const signal = AbortSignal.abort();
      await expect(driver.put('objects/aa/never', Buffer.from('x'), { signal })).rejects.toThrow();
      expect(await driver.stat('objects/aa/never')).toBe(null);
    });

    inDetail('an object that is written only if there is none is whole, whoever wins', async () => {
      const driver = open(await kind.make());
      const outcomes = await Promise.all(
        Array.from({ length: 8 }, (_, i) =>
          driver.put('trainstash.json', Buffer.from(`writer ${i}`), { ifAbsent: true }),
        ),
      );
      expect(outcomes).toContain('written');
      expect(Buffer.from((await driver.get('trainstash.json', MAX))!).toString()).toMatch(/^writer \d$/);
    });

    test('a checkpoint goes there and comes back, and a check and a collection find all of it', async () => {
      const under = await kind.make();
      const folder = temporaryFolder();
      const one = await machine(join(folder, 'one'), 1e12, under.variables);
      const directory = makeCheckpoint(folder, one.session.id, 1, 1, 9);
      const { id } = await save(one, directory);
      const added = await one.remotes.add('box', under.place, folder);
      expect(added.test.steps.map(({ does, error }) => [does, error])).toEqual(
        ['write', 'read', 'list', 'overwrite', 'delete'].map((does) => [does, null]),
      );
      expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 1 });
      expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 0, present: 1 });
      const two = await emptyMachine(join(folder, 'two'), 1e12, under.variables);
      expect(await two.remotes.add('box', under.place, folder)).toMatchObject({ isNew: false });
      expect(await two.remotes.pull(['box/1@1'], UNWATCHED)).toMatchObject({ checkpoints: 1, problems: [] });
      await two.store.restoreCheckpoint(id, join(folder, 'back'));
      expect(readFileSync(join(folder, 'back', STATE_FILE)).equals(readFileSync(join(directory, STATE_FILE)))).toBe(
        true,
      );
      expect(await two.remotes.check('box', true, UNWATCHED)).toMatchObject({
        checkpoints: 1,
        problems: [],
        unused: { objects: 0 },
      });
      expect(await two.remotes.collect('box', false, UNWATCHED)).toMatchObject({
        deleted: { objects: 0 },
        noted: { objects: 0 },
      });
    });

    test('one that is cut off, taken away, or refuses access is named as such, and goes on where it stopped', async () => {
      const under = await kind.make();
      const folder = temporaryFolder();
      const one = await machine(join(folder, 'one'), 1e12, under.variables);
      await save(one, makeCheckpoint(folder, one.session.id, 1, 1, 5));
      if (under.wrong) {
        const stranger = await emptyMachine(join(folder, 'stranger'), 1e12, under.wrong.variables);
        const adding = stranger.remotes.add('box', under.wrong.place, folder);
        await expect(adding).rejects.toMatchObject({ code: 'remoteDenied' });
        expect(stranger.remotes.list()).toEqual([]);
      }
      await one.remotes.add('box', under.place, folder);
      if (under.cut) {
        const again = await under.cut();
        await expect(one.remotes.push('box', [], UNWATCHED)).rejects.toMatchObject({ code: 'remoteUnreachable' });
        await again();
      }
      expect(await one.remotes.push('box', [], UNWATCHED)).toMatchObject({ checkpoints: 1 });
      await under.remove();
      for (const work of [
        () => one.remotes.push('box', [], UNWATCHED),
        () => one.remotes.fetch('box', UNWATCHED),
        () => one.remotes.test('box'),
      ])
        await expect(work()).rejects.toMatchObject({ code: 'remoteGone' });
    });
  });
}
