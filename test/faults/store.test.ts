/** A store that meets full disks, power cuts, flipped bits and garbage. */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  closeSync,
  cpSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { openDatabase } from '../../base/sqlite.ts';
import { newRun, newSession } from '../../daemon/runs/records.ts';
import { openCatalog } from '../../daemon/store/catalog/catalog-schema.ts';
import { type Store, StoreFull, startStore } from '../../daemon/store/client.ts';
import { encodeHeader } from '../../formats/safetensors.ts';
import type { Run, Session } from '../../protocol/domain.ts';
import { randomId } from '../../protocol/ids.ts';
import { blankCheckpointFile } from '../../protocol/records.ts';
import { CHECKPOINT_FILE, type CheckpointFile, STATE_FILE } from '../../protocol/session.ts';
import { Random } from '../../trainer/random.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { fill, onImage, onSmallDisk, smallDisk } from '../support/small-disk.ts';
import { DIST } from '../support/trainer.ts';

interface Opened {
  store: Store;
  path: string;
  run: Run;
  session: Session;
}

async function open(path: string, quotaBytes?: number): Promise<Opened> {
  const store = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path, quotaBytes });
  afterwards(() => store.close().catch(() => {}));
  const identity = { branch: 'main', commit: null, dirty: false, code: null, codeLeftOut: [] };
  const run = await store.createRun(
    newRun({ job: 'job', params: { lr: 1 }, overrides: [], seed: 0, backend: 'wasm', identity, restarts: 0 }),
  );
  const session = newSession(run, 'train', null);
  await store.putSession(session);
  return { store, path, run, session };
}

/** Makes a checkpoint's files with `mebibytes` of random floats, the same for the same seed. */
function makeCheckpoint(
  folder: string,
  session: string,
  step: number,
  seed = step,
  mebibytes = 1,
  extra: Partial<CheckpointFile> = {},
): string {
  const id = randomId();
  const directory = join(folder, id);
  mkdirSync(directory, { recursive: true });
  const random = Random.seeded(seed);
  const count = mebibytes << 18;
  const values = Uint32Array.from({ length: count }, () => random.uint32());
  const header = encodeHeader([{ name: 'model/w', dtype: 'F32', shape: [count], bytes: count * 4 }], {});
  const state = Buffer.concat([header, Buffer.from(values.buffer)]);
  writeFileSync(join(directory, STATE_FILE), state);
  const facts: CheckpointFile = {
    ...blankCheckpointFile(id, session, step, Date.now()),
    batch: 1,
    files: [{ name: STATE_FILE, bytes: state.length }],
    ...extra,
  };
  writeFileSync(join(directory, CHECKPOINT_FILE), JSON.stringify(facts));
  return directory;
}

const save = async ({ store, run, session }: Opened, directory: string) =>
  (await store.saveCheckpoint({ directory, run, session }, 0)).checkpoint;

test('equal tensors are stored once, in whatever checkpoint', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const first = await save(opened, makeCheckpoint(folder, opened.session.id, 1, 7, 8));
  const second = await save(opened, makeCheckpoint(folder, opened.session.id, 2, 7, 8));
  expect(first.storedBytes).toBeGreaterThan(8e6);
  expect(second.storedBytes).toBeLessThan(1e5);
  expect(second.stateDigest).toBe(first.stateDigest);
});

test('a state that is cut between processes is its shards as well, whatever their index says', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const digest = async (shard: string, index: string, step: number) => {
    const contents = { 'state.pt': 'whole', 'shards/.metadata': index, 'shards/__1_0.distcp': shard };
    const files = Object.entries(contents).map(([name, { length }]) => ({ name, bytes: length }));
    const directory = makeCheckpoint(folder, opened.session.id, step, 7, 1, { files });
    mkdirSync(join(directory, 'shards'));
    for (const [name, content] of Object.entries(contents)) writeFileSync(join(directory, name), content);
    const saved = await save(opened, directory);
    await opened.store.restoreCheckpoint(saved.id, join(folder, `back-${step}`));
    expect(readFileSync(join(folder, `back-${step}`, 'shards/__1_0.distcp'), 'utf8')).toBe(shard);
    return saved.stateDigest;
  };
  const first = await digest('a', 'id 1', 1);
  expect(await digest('a', 'id 2', 2)).toBe(first);
  expect(await digest('b', 'id 1', 3)).not.toBe(first);
});

test('what is restored is what was saved, byte for byte, and saving twice is saving once', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const directory = makeCheckpoint(folder, opened.session.id, 1, 1, 9);
  const saved = await save(opened, directory);
  expect(await save(opened, directory)).toEqual(saved);
  await opened.store.restoreCheckpoint(saved.id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', STATE_FILE)).equals(readFileSync(join(directory, STATE_FILE)))).toBe(true);
});

test('a file of unknown structure is cut by content: an insertion costs little', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const random = Random.seeded(3);
  const bytes = Buffer.from(Uint32Array.from({ length: 3 << 20 }, () => random.uint32()).buffer);
  const saveBytes = async (content: Buffer, step: number) => {
    const directory = makeCheckpoint(folder, opened.session.id, step);
    writeFileSync(join(directory, 'blob.bin'), content);
    const facts = JSON.parse(readFileSync(join(directory, CHECKPOINT_FILE), 'utf8'));
    writeFileSync(
      join(directory, CHECKPOINT_FILE),
      JSON.stringify({ ...facts, files: [{ name: 'blob.bin', bytes: content.length }] }),
    );
    return save(opened, directory);
  };
  await saveBytes(bytes, 1);
  const moved = await saveBytes(
    Buffer.concat([bytes.subarray(0, 5_000_000), Buffer.from('inserted'), bytes.subarray(5_000_000)]),
    2,
  );
  expect(moved.storedBytes).toBeLessThan(bytes.length / 2);
});

test('trash gives nothing back until it is emptied, then the file shrinks; undo brings it back before', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const { store } = opened;
  const ids: string[] = [];
  for (let step = 1; step <= 4; step++)
    ids.push((await save(opened, makeCheckpoint(folder, opened.session.id, step, step, 8))).id);
  const full = (await store.usage()).objectsBytes;
  await store.setTrash(ids[0]!, Date.now());
  await store.setTrash(ids[1]!, Date.now());
  expect(await store.gc(false)).toMatchObject({ removedCheckpoints: 0, removedChunks: 0 });
  expect((await store.setTrash(ids[1]!, null)).trashedAt).toBeNull();
  const emptied = await store.gc(true);
  expect(emptied).toMatchObject({ removedCheckpoints: 1 });
  expect(emptied.returnedBytes).toBeGreaterThan(7e6);
  expect((await store.usage()).objectsBytes).toBeLessThan(full - 7e6);
  expect((await store.checkpoints(opened.run.id)).map(({ id }) => id)).toEqual(ids.slice(1));
  expect((await store.fsck(false)).problems).toEqual([]);
});

test('a quota never fails a save: trash goes first, then older automatic checkpoints, and it is said', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'), 20 << 20);
  const { store, run, session } = opened;
  let said = 0;
  for (let step = 1; step <= 6; step++) {
    const directory = makeCheckpoint(folder, session.id, step, step, 6);
    const { pruned } = await store.saveCheckpoint({ directory, run, session }, 6 << 20);
    said += pruned.length;
    if (step === 1) await store.setTrash((await store.checkpoints(run.id))[0]!.id, Date.now());
  }
  const kept = (await store.checkpoints(run.id)).map(({ step }) => step);
  expect(kept.at(-1)).toBe(6);
  expect(said).toBeGreaterThan(0);
  const usage = await store.usage();
  expect(usage.objectsBytes - usage.freeBytes).toBeLessThan(21 << 20);
});

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

test('a checkpoint whose file changes or does not fit its description is not taken in', async () => {
  const folder = temporaryFolder();
  const opened = await open(join(folder, 'store'));
  const directory = makeCheckpoint(folder, opened.session.id, 1);
  truncateSync(join(directory, STATE_FILE), 1000);
  await expect(save(opened, directory)).rejects.toMatchObject({ code: 'corrupted' });
  writeFileSync(join(directory, CHECKPOINT_FILE), '{"format":1}');
  await expect(save(opened, directory)).rejects.toMatchObject({ code: 'corrupted' });
  expect(await opened.store.checkpoints(opened.run.id)).toEqual([]);
});

test('event lines that are malformed, oversized or random are skipped; the rest is taken in once', async () => {
  const opened = await open(join(temporaryFolder(), 'store'));
  const directory = join(opened.path, 'sessions', opened.session.id);
  mkdirSync(directory, { recursive: true });
  const good = (seq: number) =>
    JSON.stringify({ seq, t: seq, type: 'metrics', step: seq, epoch: 0, values: { loss: seq === 2 ? 'NaN' : seq } });
  const random = Random.seeded(11);
  const noise = Array.from({ length: 200 }, () =>
    Buffer.from(Array.from({ length: 40 }, () => Math.floor(random.float() * 256)).filter((byte) => byte !== 10)),
  );
  const lines = [
    good(1),
    '{"seq":',
    '[]',
    'null',
    '{"type":"metrics"}',
    JSON.stringify({ seq: 9, t: 1, type: 'metrics', step: 'x', epoch: 0, values: {} }),
    good(2),
    good(2),
    good(1),
    `"${'x'.repeat(5 << 20)}"`,
    good(3),
  ];
  const file = openSync(join(directory, 'events.ndjson'), 'w');
  for (const line of lines) writeSync(file, `${line}\n`);
  for (const line of noise) writeSync(file, Buffer.concat([line, Buffer.from('\n')]));
  writeSync(file, `${good(4)}\n{"seq":5,"t":5,"type":"met`);
  closeSync(file);
  let malformed = 0;
  for (let more = true; more; ) {
    const taken = await opened.store.takeEvents(opened.session.id, 'events');
    malformed += taken.malformed;
    more = taken.more;
  }
  const [series] = await opened.store.queryMetrics(opened.run.id, { names: ['loss'] });
  expect(series!.steps).toEqual([1, 2, 3, 4]);
  expect(series!.values[1]).toBe('NaN');
  expect(malformed).toBeGreaterThan(200);
  expect((await opened.store.takeEvents(opened.session.id, 'events')).points).toBe(0);
});

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
