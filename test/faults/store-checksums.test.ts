/** The checksums that reads are compared with: damaged, missing, copied by hand, filled in, and wrong on purpose. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, cpSync, existsSync, openSync, readFileSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, test } from 'vitest';
import { type Database, openDatabase } from '../../base/sqlite.ts';
import { startStore } from '../../daemon/store/client.ts';
import { checksumOf } from '../../daemon/store/objects/checksum.ts';
import { STATE_FILE } from '../../protocol/session.ts';
import { afterwards } from '../support/cleanup.ts';
import { temporaryFolder } from '../support/folder.ts';
import { makeCheckpoint, open, save } from '../support/random-checkpoints.ts';
import { fill, onSmallDisk, smallDisk } from '../support/small-disk.ts';
import { DIST } from '../support/trainer.ts';

const WORKER = pathToFileURL(join(DIST, 'store-worker.js'));
const PACKER = join(import.meta.dirname, '../support/packer.ts');

test('every chunk is stored with its checksum, and deleting it deletes that', async () => {
  const { path, id } = await stored();
  expect(counts(path)).toEqual({ chunks: 4, checksums: 3 });
  const store = await reopened(path);
  await store.setTrash(id, 1);
  await store.gc(true);
  await store.close();
  expect(counts(path)).toEqual({ chunks: 0, checksums: 0 });
});

test.for([
  ['a flipped bit of a chunk', (database: Database) => change(database, 2, flip(70_000))],
  [
    'a page that was never written',
    (database: Database) => change(database, 2, (data) => void data.fill(0, 65_500, 131_000)),
  ],
  [
    'the end of an older chunk',
    (database: Database) => change(database, 3, (data) => data.set(read(database, 2).subarray(9e5), 9e5)),
  ],
  ['two chunks that changed places with their checksums', swap],
] as const)('%s is never restored, and named, with the checksum and without', async ([, harm]) => {
  const { folder, path, id } = await stored();
  for (const known of [true, false]) {
    withObjects(path, (database) => {
      if (!known) database.exec('DELETE FROM checksum');
      if (known) harm(database);
    });
    const store = await reopened(path);
    await expect(store.restoreCheckpoint(id, join(folder, 'back'))).rejects.toMatchObject({ code: 'corrupted' });
    expect(existsSync(join(folder, 'back'))).toBe(false);
    for (const full of [false, true])
      expect((await store.fsck(false, full)).problems.some(({ checkpoint }) => checkpoint === id)).toBe(true);
    // Nothing is recorded for what is damaged.
    while (await store.fillChecksums(10));
    await expect(store.restoreCheckpoint(id, join(folder, 'back'))).rejects.toMatchObject({ code: 'corrupted' });
    await store.close();
  }
});

test('a damaged checksum costs no checkpoint: its chunk is compared with SHA-256, named, and mended', async () => {
  for (const harm of [
    'UPDATE checksum SET sum = zeroblob(8) WHERE chunk = 2',
    "UPDATE checksum SET sum = x'00' WHERE chunk = 2",
  ]) {
    const { folder, path, id, bytes } = await stored();
    withObjects(path, (database) => database.exec(harm));
    const store = await reopened(path);
    const [back] = (await store.restoreCheckpoint(id, join(folder, 'back'))).files;
    expect(readFileSync(join(folder, 'back', back!)).equals(bytes)).toBe(true);
    const { problems } = await store.fsck(false);
    // A checksum of the wrong length counts as missing.
    expect(problems.map(({ chunk, checkpoint }) => ({ chunk, checkpoint }))).toEqual(
      harm.includes('zeroblob') ? [{ chunk: '2', checkpoint: null }] : [],
    );
    await store.fsck(false, true);
    expect((await store.fsck(false, true)).problems).toEqual([]);
    await store.close();
    expect(
      withObjects(
        path,
        (database) => database.prepare('SELECT count(*) AS n FROM checksum WHERE length(sum) = 8').get()!.n,
      ),
    ).toBe(3);
  }
});

test('bytes that were changed together with their checksum pass the quick look, and only SHA-256 tells', async () => {
  const { path, id } = await stored();
  withObjects(path, (database) => {
    change(database, 2, flip(5));
    const { hash, data } = database.prepare('SELECT hash, data FROM chunk WHERE id = 2').get()!;
    database.prepare('UPDATE checksum SET sum = ? WHERE chunk = 2').run(checksumOf(data, hash));
  });
  const store = await reopened(path);
  expect((await store.fsck(false)).problems).toEqual([]);
  expect((await store.fsck(false, true)).problems.some(({ checkpoint }) => checkpoint === id)).toBe(true);
});

test('a store of an earlier version is read as before, and its checksums are filled in', async () => {
  const { folder, path, id, bytes } = await stored();
  withObjects(path, asEarlier);
  const store = await reopened(path);
  expect((await store.fsck(false)).problems).toEqual([]);
  const { files } = await store.restoreCheckpoint(id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', files[0]!)).equals(bytes)).toBe(true);
  while (await store.fillChecksums(1));
  await store.close();
  expect(counts(path)).toEqual({ chunks: 4, checksums: 3 });
});

test('a copy made by hand trusts no checksum until SHA-256 was compared again', async () => {
  const { folder, path, id, bytes } = await stored();
  const copy = join(folder, 'copy');
  cpSync(path, copy, { recursive: true });
  const store = await reopened(copy);
  expect((await store.fsck(false)).problems).toEqual([]);
  const { files } = await store.restoreCheckpoint(id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', files[0]!)).equals(bytes)).toBe(true);
  await store.close();
  expect(counts(copy)).toEqual({ chunks: 4, checksums: 0 });
  const again = await reopened(copy);
  while (await again.fillChecksums(1));
  await again.close();
  // The next start finds the same file, and keeps them.
  await (await reopened(copy)).close();
  expect(counts(copy)).toEqual({ chunks: 4, checksums: 3 });
});

test.for([
  ['of an earlier version, with a damaged page', asEarlier, 2],
  ['that was copied, with a damaged page among its checksums', () => {}, 'checksum'],
] as const)('a store %s opens, trusts no checksum, and gives what is intact', async ([, change, page]) => {
  const { folder, path, id, bytes } = await stored();
  const copy = join(folder, 'copy');
  cpSync(path, copy, { recursive: true });
  const number = withObjects(copy, (database) => {
    change(database);
    const root = database.prepare('SELECT rootpage FROM sqlite_schema WHERE name = ?').get(String(page))?.rootpage;
    return Number(root ?? page);
  });
  const file = openSync(join(copy, 'objects.db'), 'r+');
  writeSync(file, Buffer.alloc(65_536, 255), 0, 65_536, (number - 1) * 65_536);
  closeSync(file);
  const store = await reopened(copy);
  const { files } = await store.restoreCheckpoint(id, join(folder, 'back'));
  expect(readFileSync(join(folder, 'back', files[0]!)).equals(bytes)).toBe(true);
  expect((await store.fsck(false)).problems.length).toBeGreaterThan(0);
});

onSmallDisk('a store that was copied to a full disk opens, and trusts none of its checksums', async () => {
  for (const earlier of [false, true]) {
    const disk = smallDisk(40);
    const { folder, path, id, bytes } = await stored();
    if (earlier) withObjects(path, asEarlier);
    const copy = join(disk, 'copy');
    cpSync(path, copy, { recursive: true });
    const filler = fill(disk);
    const store = await reopened(copy);
    const { files } = await store.restoreCheckpoint(id, join(folder, 'back'));
    expect(readFileSync(join(folder, 'back', files[0]!)).equals(bytes)).toBe(true);
    await store.close();
    rmSync(filler);
    // With room the next start has a table, and has forgotten what was in that of the other store.
    await (await reopened(copy)).close();
    expect(counts(copy)).toEqual({ chunks: 4, checksums: 0 });
  }
});

test('killed at any moment while it fills them in, it records nothing wrong and goes on', async () => {
  const { folder, path, id, bytes } = await stored(12);
  const wipe = () =>
    withObjects(path, (database) =>
      database.exec("DELETE FROM checksum; DELETE FROM meta WHERE key = 'checksumsUpTo'"),
    );
  for (const milliseconds of [0, 15, 80]) {
    wipe();
    const child = spawn(process.execPath, [PACKER, join(DIST, 'store-worker.js'), path, 'checksums'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const ended = once(child, 'exit');
    await Promise.race([once(child.stdout, 'data'), ended]);
    await new Promise((resolve) => setTimeout(resolve, milliseconds));
    child.kill('SIGKILL');
    await ended;
    const store = await reopened(path);
    expect((await store.fsck(false, false)).problems).toEqual([]);
    const { files } = await store.restoreCheckpoint(id, join(folder, `back-${milliseconds}`));
    expect(readFileSync(join(folder, `back-${milliseconds}`, files[0]!)).equals(bytes)).toBe(true);
    while (await store.fillChecksums(50));
    await store.close();
    const { chunks, checksums } = counts(path);
    expect(checksums).toBe(chunks - 1);
  }
});

/** Stores one checkpoint: a chunk for the header, which is small, and one for each MiB, or 4 MiB of more. */
async function stored(mebibytes = 9): Promise<{ folder: string; path: string; id: string; bytes: Buffer }> {
  const folder = temporaryFolder();
  const path = join(folder, 'store');
  const opened = await open(path);
  const directory = makeCheckpoint(folder, opened.session.id, 1, 3, mebibytes);
  const { id } = await save(opened, directory);
  await opened.store.close();
  return { folder, path, id, bytes: readFileSync(join(directory, STATE_FILE)) };
}

async function reopened(path: string) {
  const store = await startStore(WORKER, { path, quotaBytes: 1e12 });
  afterwards(() => store.close().catch(() => {}));
  return store;
}

function withObjects<T>(path: string, work: (database: Database) => T): T {
  const database = openDatabase(join(path, 'objects.db'));
  try {
    return work(database);
  } finally {
    database.close();
  }
}

/** Makes it a store of the version before checksums. */
function asEarlier(database: Database): void {
  database.exec("DROP TABLE checksum; DELETE FROM meta WHERE key IN ('file', 'checksumsUpTo'); PRAGMA user_version=1");
}

function counts(path: string): { chunks: number; checksums: number } {
  return withObjects(path, (database) => ({
    chunks: Number(database.prepare('SELECT count(*) AS n FROM chunk').get()!.n),
    checksums: Number(database.prepare('SELECT count(*) AS n FROM checksum').get()!.n),
  }));
}

function flip(at: number): (data: Uint8Array) => void {
  return (data) => {
    data[at]! ^= 16;
  };
}

function read(database: Database, id: number): Uint8Array {
  return database.prepare('SELECT data FROM chunk WHERE id = ?').get(id)!.data;
}

function change(database: Database, id: number, harm: (data: Uint8Array) => void): void {
  const data = read(database, id);
  harm(data);
  database.prepare('UPDATE chunk SET data = ? WHERE id = ?').run(data, id);
}

/** Exchanges the bytes of two chunks of one size, and their checksums, as a file system that mixes up blocks might. */
function swap(database: Database): void {
  const [a, b] = [read(database, 2), read(database, 3)];
  database.prepare('UPDATE chunk SET data = ? WHERE id = 2').run(b);
  database.prepare('UPDATE chunk SET data = ? WHERE id = 3').run(a);
  const sum = (id: number) => database.prepare('SELECT sum FROM checksum WHERE chunk = ?').get(id)!.sum;
  const [sumOfA, sumOfB] = [sum(2), sum(3)];
  database.prepare('UPDATE checksum SET sum = ? WHERE chunk = 2').run(sumOfB);
  database.prepare('UPDATE checksum SET sum = ? WHERE chunk = 3').run(sumOfA);
}
