/** A store that meets flipped bits, garbage, other versions and a crash between its databases. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../base/sqlite.ts';
import { openCatalog } from '../../daemon/store/catalog/catalog-schema.ts';
import { startStore } from '../../daemon/store/client.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { Random } from '../../trainer/random.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, open, save } from '../support/random-checkpoints.ts';
import { DIST } from '../support/trainer.ts';

test('fsck finds every flipped bit of content and description, and says which earlier checkpoint is whole', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const opened = await open(path);
  const first = await save(opened, makeCheckpoint(folder, opened.session.id, 1, 1, 2));
  const second = await save(opened, makeCheckpoint(folder, opened.session.id, 2, 2, 2));
  await opened.store.close();
  const original = readFileSync(join(path, 'objects.db'));
  const random = Random.seeded(5);
  // Positions of content and description, found by searching the file.
  const second0 = readFileSync(join(folder, second.id, STATE_FILE));
  const places = Array.from({ length: 12 }, () => Math.floor(random.float() * (second0.length - 64)));
  const offsets = places.map((at) => original.indexOf(second0.subarray(at, at + 16))).filter((offset) => offset > 0);
  offsets.push(original.indexOf(`"id":"${second.id}"`) + 8);
  expect(offsets.length).toBeGreaterThan(8);
  for (const offset of offsets) {
    const damaged = Buffer.from(original);
    damaged[offset]! ^= 1 << Math.floor(random.float() * 8);
    writeFileSync(join(path, 'objects.db'), damaged);
    const again = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path });
    const { problems } = await again.fsck(false);
    expect(
      problems.some(({ checkpoint, whole }) => checkpoint === second.id && whole === first.id),
      `bit at ${offset}`,
    ).toBe(true);
    await again.close();
  }
}, 120_000);

test('a damaged chunk is never restored: the error names the checkpoint, and nothing is written', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const opened = await open(path);
  const saved = await save(opened, makeCheckpoint(folder, opened.session.id, 1, 1, 6));
  await opened.store.close();
  const bytes = readFileSync(join(path, 'objects.db'));
  const state = readFileSync(join(folder, saved.id, STATE_FILE));
  bytes[bytes.indexOf(state.subarray(5_000_000, 5_000_016))]! ^= 4;
  writeFileSync(join(path, 'objects.db'), bytes);
  const again = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path });
  afterwards(() => again.close());
  await expect(again.restoreCheckpoint(saved.id, join(folder, 'back'))).rejects.toMatchObject({
    code: 'corrupted',
    data: { checkpoint: saved.id },
  });
  expect(readdirSync(folder).filter((name) => name.includes('back'))).toEqual([]);
});

test.each([
  ['was cut to nothing', 'the file is empty', (path: string) => writeFileSync(path, '')],
  ['is gone', 'the file is missing', (path: string) => rmSync(path)],
])('content that %s is refused, and what the catalog knows stays until it is back', async (_, reason, lose) => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const opened = await open(path);
  const saved = await save(opened, makeCheckpoint(folder, opened.session.id, 1, 1, 1));
  await opened.store.close();
  const worker = pathToFileURL(join(DIST, 'store-worker.js'));
  const copy = readFileSync(join(path, 'objects.db'));
  lose(join(path, 'objects.db'));
  for (const _ of [1, 2])
    await expect(startStore(worker, { path })).rejects.toMatchObject({ code: 'storeUnusable', data: { reason } });
  if (existsSync(join(path, 'objects.db'))) expect(readFileSync(join(path, 'objects.db'))).toHaveLength(0);
  rmSync(join(path, 'objects.db'), { force: true });
  writeFileSync(join(path, 'objects.db'), copy);
  const again = await startStore(worker, { path });
  afterwards(() => again.close());
  expect((await again.fsck(false)).problems).toEqual([]);
  await again.restoreCheckpoint(saved.id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', STATE_FILE))).toEqual(readFileSync(join(folder, saved.id, STATE_FILE)));
});

test('a store whose catalog lists no checkpoint begins anew without its content', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const { store } = await open(path);
  await store.close();
  rmSync(join(path, 'objects.db'));
  const again = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path });
  afterwards(() => again.close());
  expect((await again.fsck(false)).problems).toEqual([]);
});

test('a catalog that is garbage or gone is rebuilt: checkpoints, tags, trash, metrics and runs are back', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const opened = await open(path);
  const { store, run, session } = opened;
  mkdirSync(join(path, 'sessions', session.id), { recursive: true });
  const lines = Array.from({ length: 50 }, (_, i) =>
    JSON.stringify({ seq: i + 1, t: 1000 + i, type: 'metrics', step: i + 1, epoch: 0, values: { loss: 1 / (i + 1) } }),
  );
  writeFileSync(join(path, 'sessions', session.id, 'events.ndjson'), `${lines.join('\n')}\n`);
  await store.takeEvents(session.id, 'events');
  const first = await save(opened, makeCheckpoint(folder, session.id, 10));
  const second = await save(opened, makeCheckpoint(folder, session.id, 20));
  await store.tag(first.id, 'paper', false);
  await store.setTrash(second.id, 123);
  const before = {
    run: await store.run(run.id),
    curve: (await store.queryMetrics(run.id, { names: ['loss'], toStep: 20 }))[0]!,
  };
  await store.close();
  rmSync(join(path, 'sessions', session.id), { recursive: true });
  for (const damage of ['garbage', 'gone'] as const) {
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(path, `catalog.db${suffix}`), { force: true });
    if (damage === 'garbage') writeFileSync(join(path, 'catalog.db'), 'this is no database'.repeat(1000));
    const again = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path });
    expect((await again.info()).rebuiltAtOpen).toBe(true);
    expect(await again.run(run.id)).toMatchObject({
      number: before.run!.number,
      name: before.run!.name,
      params: { lr: 1 },
      branch: 'main',
    });
    expect((await again.checkpoint(first.id))!.tags).toEqual(['paper']);
    expect((await again.checkpoint(second.id))!.trashedAt).toBe(123);
    const curve = (await again.queryMetrics(run.id, { names: ['loss'] }))[0]!;
    expect([curve.steps, curve.values]).toEqual([before.curve.steps, before.curve.values]);
    await again.close();
  }
  expect(readdirSync(path).some((name) => name.startsWith('catalog-damaged'))).toBe(true);
});

test('content that is garbage is refused by name and left as it is', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  mkdirSync(path);
  writeFileSync(join(path, 'objects.db'), 'no database at all'.repeat(500));
  const before = readFileSync(join(path, 'objects.db'));
  await expect(startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path })).rejects.toMatchObject({
    code: 'storeUnusable',
  });
  expect(readFileSync(join(path, 'objects.db')).equals(before)).toBe(true);
});

describe('a database from the future', () => {
  for (const name of ['objects.db', 'catalog.db']) {
    test(`${name} is refused with both versions and not touched`, async () => {
      const path = join(temporaryFolder(), 'store');
      const { store } = await open(path);
      await store.close();
      const database = openDatabase(join(path, name));
      database.exec('PRAGMA user_version=99');
      database.close();
      await expect(startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path })).rejects.toMatchObject({
        code: 'storeFromFuture',
        data: { found: 99 },
      });
      const after = openDatabase(join(path, name));
      expect(after.prepare('PRAGMA user_version').get()!.user_version).toBe(99);
      after.close();
    });
  }
});

test('a migration keeps the data and a copy of the catalog from before', () => {
  const path = join(temporaryFolder(), 'catalog.db');
  const first = openCatalog(path);
  first.exec("INSERT INTO meta VALUES ('kept', 'yes')");
  const version = Number(first.prepare('PRAGMA user_version').get()!.user_version);
  first.close();
  const migrations = [...Array.from({ length: version }, () => ''), 'CREATE TABLE added (x INTEGER) STRICT'];
  const second = openCatalog(path, migrations);
  expect(second.prepare("SELECT value FROM meta WHERE key = 'kept'").get()!.value).toBe('yes');
  expect(second.prepare('SELECT count(*) AS n FROM added').get()!.n).toBe(0);
  second.close();
  expect(existsSync(path.replace('.db', `-v${version}.db`))).toBe(true);
});

test('a crash between content and catalog is made up for at the next start', async () => {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const opened = await open(path);
  const saved = await save(opened, makeCheckpoint(folder, opened.session.id, 5));
  await opened.store.close();
  const catalog = openDatabase(join(path, 'catalog.db'));
  catalog.exec("DELETE FROM checkpoint; DELETE FROM meta WHERE key = 'followed'");
  catalog.close();
  const again = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path });
  afterwards(() => again.close());
  expect((await again.checkpoints(opened.run.id)).map(({ id }) => id)).toEqual([saved.id]);
});
