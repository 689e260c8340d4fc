/** A store that meets full disks and power cuts. */
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect } from 'vitest';
import { StoreFull, startStore } from '../../daemon/store/client.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, open, save } from '../support/random-checkpoints.ts';
import { fill, onImage, onSmallDisk, smallDisk } from '../support/small-disk.ts';
import { DIST } from '../support/trainer.ts';

describe('disk full', () => {
  onSmallDisk(
    'while a checkpoint is taken in: an error, everything before is whole, and with room it goes on',
    async () => {
      const disk = smallDisk(48);
      const outside = temporaryFolder();
      const opened = await open(join(disk, 'store'), 1e12);
      const first = await save(opened, makeCheckpoint(outside, opened.session.id, 1, 1, 12));
      writeFileSync(join(disk, 'filler'), Buffer.alloc(8 << 20, 1));
      const second = makeCheckpoint(outside, opened.session.id, 2, 2, 24);
      await expect(save(opened, second)).rejects.toBeInstanceOf(StoreFull);
      expect((await opened.store.fsck(false)).problems).toEqual([]);
      expect((await opened.store.checkpoints(opened.run.id)).map(({ id }) => id)).toEqual([first.id]);
      rmSync(join(disk, 'filler'));
      await save(opened, makeCheckpoint(outside, opened.session.id, 3, 3, 8));
      expect((await opened.store.fsck(false)).problems).toEqual([]);
    },
  );

  onSmallDisk(
    'while a large checkpoint is restored: an error, nothing is left there, and the next one works',
    async () => {
      const disk = smallDisk(40);
      const outside = temporaryFolder();
      const opened = await open(join(outside, 'store'), 1e12);
      const large = await save(opened, makeCheckpoint(outside, opened.session.id, 1, 1, 48));
      const directory = makeCheckpoint(outside, opened.session.id, 2, 2, 24);
      const fitting = await save(opened, directory);
      await expect(opened.store.restoreCheckpoint(large.id, join(disk, 'back'))).rejects.toMatchObject({
        code: 'storeFull',
      });
      expect(readdirSync(disk).filter((name) => name !== 'lost+found')).toEqual([]);
      await opened.store.restoreCheckpoint(fitting.id, join(disk, 'back'));
      const bytes = readFileSync(join(disk, 'back', STATE_FILE));
      expect(bytes.equals(readFileSync(join(directory, STATE_FILE)))).toBe(true);
    },
  );

  onSmallDisk('during gc: the reserve lets it delete, and space comes back', async () => {
    const disk = smallDisk(64);
    const outside = temporaryFolder();
    const opened = await open(join(disk, 'store'), 1e12);
    const ids: string[] = [];
    for (let step = 1; step <= 3; step++)
      ids.push((await save(opened, makeCheckpoint(outside, opened.session.id, step, step, 10))).id);
    for (const id of ids.slice(0, 2)) await opened.store.setTrash(id, 1);
    expect(existsSync(join(disk, 'store/reserve'))).toBe(true);
    fill(disk);
    const result = await opened.store.gc(true);
    expect(result).toMatchObject({ removedCheckpoints: 2 });
    expect(result.returnedBytes).toBeGreaterThan(15 << 20);
    expect((await opened.store.fsck(false)).problems).toEqual([]);
  });
});

onImage('power loss: what was answered as committed is there, whatever was not yet on the disk', async () => {
  const folder = temporaryFolder();
  const [image, disk, copy, after] = ['image', 'disk', 'copy', 'after'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ];
  execFileSync('truncate', ['-s', '192M', image]);
  execFileSync('mkfs.ext4', ['-q', image]);
  for (const place of [disk, after]) mkdirSync(place);
  execFileSync('mount', ['-o', 'loop', image, disk]);
  afterwards(() => void spawnSync('umount', ['-l', disk]));
  const outside = temporaryFolder();
  const opened = await open(join(disk, 'store'), 1e12);
  const saved: string[] = [];
  for (let step = 1; step <= 3; step++) {
    const checkpoint = await save(opened, makeCheckpoint(outside, opened.session.id, step, step, 6));
    await opened.store.tag(checkpoint.id, `tag-${step}`, false);
    saved.push(checkpoint.id);
  }
  await opened.store.restoreCheckpoint(saved[0]!, join(disk, 'restored'));
  // Not synced: nothing above may need it.
  writeFileSync(join(disk, 'unsynced'), Buffer.alloc(1 << 20, 7));
  // The image has what reached the "disk"; the mounted file system's own cache is not in it.
  cpSync(image, copy);
  execFileSync('mount', ['-o', 'loop', copy, after]);
  afterwards(() => void spawnSync('umount', ['-l', after]));
  const survived = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path: join(after, 'store') });
  afterwards(() => survived.close());
  expect((await survived.fsck(false)).problems).toEqual([]);
  expect((await survived.checkpoints(opened.run.id)).map(({ id, tags }) => [id, tags])).toEqual(
    saved.map((id, i) => [id, [`tag-${i + 1}`]]),
  );
  expect(
    readFileSync(join(after, 'restored', STATE_FILE)).equals(readFileSync(join(outside, saved[0]!, STATE_FILE))),
  ).toBe(true);
  expect(statSync(join(after, 'unsynced'), { throwIfNoEntry: false })?.size ?? 0).toBeLessThan(1 << 20);
});
