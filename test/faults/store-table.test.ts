/** Every operation of a store in every state of the store: the expected outcome, with nothing changed or lost. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openDatabase } from '../../base/sqlite.ts';
import { newRun, newSession } from '../../daemon/runs/records.ts';
import { openStore } from '../../daemon/store/api.ts';
import { lookAtStore, type Store, startStore } from '../../daemon/store/client.ts';
import type { Run, Session } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { afterwards } from '../support/cleanup.ts';
import { damage, disorder, holding } from '../support/damage.ts';
import { temporaryFolder } from '../support/folder.ts';
import { sample } from '../support/sample.ts';
import { fill, onSmallDisk, smallDisk } from '../support/small-disk.ts';
import { contentOf, FIRST, type Given, OPERATIONS, SECOND, save, saveFile } from '../support/store-operations.ts';
import { DIST, makeLaunch } from '../support/trainer.ts';

const WORKER = pathToFileURL(join(DIST, 'store-worker.js'));

type Operation = keyof typeof OPERATIONS;

/** Outcome of an operation: `works`, or the code of its error. */
type Expected = Partial<Record<Operation, string>> & { otherwise: string };

/** Operations that need only the catalog. */
const IN_CATALOG: Operation[] = [
  'count runs',
  'list runs',
  'list branches',
  'list runs by status',
  'show a run',
  'find a run',
  'list sessions',
  'find a checkpoint',
  'list checkpoints',
  'say why checkpoints are kept',
  'apply retention',
  'read metrics',
  'sum metrics up',
  'read usage',
  'change a run',
  'record how far a run is',
  'put a run that has ended',
  'note that a run has less',
  'make a run',
  'read a run for another store',
  'take a run in',
  'put a session',
  'name branches',
  'take events',
  'delete a run for good',
];
const CHECKS: Operation[] = ['check', 'check fully', 'fill in checksums'];
/** Operations that need no saved row. */
const BESIDE: Operation[] = [
  'tell about itself',
  'give an id',
  'set the quota',
  'read the quota',
  'list models',
  'find a model',
  'plan a collection',
  'take a digest',
  'sweep what was left',
];
/** Operations that write, except those that make room. */
const WRITING: Operation[] = [
  'save',
  'give an id',
  'tag',
  'untag',
  'put a proof',
  'doubt',
  'change a run',
  'record how far a run is',
  'put a run that has ended',
  'make a run',
  'take a run in',
  'mark what came in',
  'put a session',
  'rebuild',
];
const all = (operations: Operation[], outcome: string) => Object.fromEntries(operations.map((one) => [one, outcome]));

const home = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
let run: Run;
let session: Session;
let file: string;
beforeAll(async () => {
  const store = await startStore(WORKER, { path: join(home, 'store'), quotaBytes: 1e12 });
  const identity = { branch: 'main', commit: null, dirty: false, code: null, codeLeftOut: [] };
  run = await store.createRun(
    newRun({ job: 'j', params: {}, overrides: [], seed: 0, backend: '', identity, restarts: 0 }),
  );
  session = { ...newSession(run, 'train', null), endedAt: 1 };
  await store.putSession(session);
  const directory = join(home, 'store/sessions', session.id);
  mkdirSync(directory, { recursive: true });
  const lines = [1, 2, 3].map((step) => ({
    seq: step,
    t: step,
    type: 'metrics',
    step,
    epoch: 0,
    values: { loss: 1 / step },
  }));
  writeFileSync(join(directory, 'events.ndjson'), `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
  const launch = { session: session.id, run: run.id, runNumber: run.number, job: run.job, root: home, cwd: home };
  writeFileSync(join(directory, 'launch.json'), JSON.stringify(makeLaunch(launch)));
  await store.takeEvents(session.id, 'events');
  await save(store, run, session, home, FIRST, 1);
  await save(store, run, session, home, SECOND, 2);
  await store.tag(FIRST, 'best-so-far', false);
  file = (await saveFile(store, home))!.id;
  await store.close();
});
afterAll(() => rmSync(home, { recursive: true, force: true }));

/** Makes a store like the one above at `path`. */
function copyTo(path: string): string {
  cpSync(join(home, 'store'), path, { recursive: true });
  return path;
}

async function opened(path: string): Promise<Given> {
  const store = await startStore(WORKER, { path });
  afterwards(() => store.close().catch(() => {}));
  return { store, run, session, file, out: temporaryFolder() };
}

async function outcomeOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
    return 'works';
  } catch (error) {
    return error instanceof TrainstashError ? error.code : `no error of ours: ${(error as Error).stack}`;
  }
}

/** Runs all operations and compares the outcomes as one table, so that differences stand side by side. */
async function expectTable(given: Given, expected: Expected): Promise<void> {
  const table: Record<string, string> = {};
  for (const [name, operation] of Object.entries(OPERATIONS)) table[name] = await outcomeOf(() => operation(given));
  const wanted = Object.fromEntries(
    Object.keys(OPERATIONS).map((name) => [name, expected[name as Operation] ?? expected.otherwise]),
  );
  expect(table).toEqual(wanted);
}

/** Expects that the initial contents are still there and intact, with their tag and curve. */
async function expectWhole(path: string): Promise<void> {
  const { store, out } = await opened(path);
  const kept = (await store.checkpoints(run.id, true)).filter(({ id }) => id === FIRST || id === SECOND);
  expect(kept.map(({ id, tags, trashedAt }) => [id, tags, trashedAt])).toEqual([
    [FIRST, ['best-so-far'], null],
    [SECOND, [], null],
  ]);
  for (const id of [FIRST, SECOND]) {
    await store.restoreCheckpoint(id, join(out, id));
    expect(readFileSync(join(out, id, 'model.bin')).equals(contentOf(id))).toBe(true);
  }
  expect((await store.queryMetrics(run.id, { names: ['loss'] }))[0]!.steps).toEqual([1, 2, 3]);
  expect((await store.fsck(false)).problems).toEqual([]);
  await store.close();
}

const bytesOf = (path: string) =>
  Object.fromEntries(
    ['objects.db', 'catalog.db'].map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(path, name)))
        .digest('hex'),
    ]),
  );

/** Expects that every operation is refused, since the store is not opened, and that nothing in it changes. */
async function expectRefused(path: string, code: string): Promise<void> {
  const before = bytesOf(path);
  expect(await outcomeOf(() => opened(path))).toBe(code);
  expect(bytesOf(path)).toEqual(before);
}

test('the table has every operation of a store', async () => {
  const called = new Set<string>(['close', 'serveReads', 'takeIn', 'putCheckpointRows']);
  const given = await opened(copyTo(join(temporaryFolder(), 'store')));
  const { store } = given;
  given.store = new Proxy(store, {
    get: (target, name) => {
      called.add(String(name));
      return target[name as keyof Store];
    },
  });
  for (const operation of Object.values(OPERATIONS)) await operation(given);
  await store.close();
  const entry = (name: string) => pathToFileURL(join(DIST, name)).href;
  const workers = {
    hasherEntry: entry('hasher-thread.js'),
    coderEntry: entry('coder-thread.js'),
    writingEntry: entry('writing-thread.js'),
  };
  const api = openStore({ path: copyTo(join(temporaryFolder(), 'store')), ...workers });
  await api.close();
  expect(Object.keys(api).filter((name) => !called.has(name))).toEqual([]);
});

test('with rows out of order: nothing goes round in circles, and a check says so', async () => {
  for (const table of ['saved', 'chunk', 'saved_chunk']) {
    const path = copyTo(join(temporaryFolder(), 'store'));
    disorder(join(path, 'objects.db'), table);
    const given = await opened(path);
    const { problems } = await given.store.fsck(false);
    expect([table, problems.length > 0]).toEqual([table, true]);
    for (const [name, operation] of Object.entries(OPERATIONS))
      expect([table, name, await outcomeOf(() => operation(given))]).toEqual([
        table,
        name,
        expect.stringMatching(/^(works|storeUnusable|corrupted|notFound)$/),
      ]);
    await given.store.close();
  }
});

onSmallDisk('on a disk with next to no room: a rebuild is whole or refused, and everything goes on', async () => {
  const disk = smallDisk(48);
  const path = copyTo(join(disk, 'store'));
  const { store } = await opened(path);
  const outcomes = new Set<string>();
  for (let kibibytes = 0; kibibytes <= 480; kibibytes += 32) {
    const filler = fill(disk, kibibytes << 10);
    outcomes.add(await outcomeOf(() => store.fsck(true)));
    expect([kibibytes, await store.countRuns()]).toEqual([kibibytes, 1]);
    rmSync(filler);
  }
  expect([...outcomes].sort()).toEqual(['storeFull', 'works']);
  await store.close();
  await expectWhole(path);
});

for (const driver of sample(['better', 'node']))
  describe(`with ${driver === 'node' ? 'Node’s own SQLite' : 'better-sqlite3'}`, () => {
    const choose = () => {
      const before = process.env.TRAINSTASH_SQLITE;
      process.env.TRAINSTASH_SQLITE = driver;
      afterwards(() => {
        if (before === undefined) delete process.env.TRAINSTASH_SQLITE;
        else process.env.TRAINSTASH_SQLITE = before;
      });
    };

    test('a store as it should be: everything works', async () => {
      choose();
      const path = copyTo(join(temporaryFolder(), 'store'));
      const given = await opened(path);
      await expectTable(given, { otherwise: 'works' });
      await given.store.close();
      await expectWhole(path);
    });

    test('closed: nothing works, and it is said', async () => {
      choose();
      const path = copyTo(join(temporaryFolder(), 'store'));
      const given = await opened(path);
      await given.store.close();
      await expectTable(given, { otherwise: 'storeUnusable' });
      await expectWhole(path);
    });

    for (const [what, name, statement] of [
      ['writes into the content', 'objects.db', 'BEGIN EXCLUSIVE'],
      ['reads the content', 'objects.db', 'BEGIN; SELECT count(*) FROM saved'],
      ['reads the catalog', 'catalog.db', 'BEGIN; SELECT count(*) FROM run'],
    ] as const)
      test(`while another program ${what}: it is not opened, and later it is`, async () => {
        choose();
        const path = copyTo(join(temporaryFolder(), 'store'));
        const other = await holding(join(path, name), statement);
        expect(await outcomeOf(() => opened(path))).toBe('storeUnusable');
        other.kill('SIGKILL');
        await new Promise((resolve) => other.once('exit', resolve));
        await expectWhole(path);
      });

    test('from the future: it is not opened', async () => {
      choose();
      for (const name of ['objects.db', 'catalog.db']) {
        const path = copyTo(join(temporaryFolder(), 'store'));
        const database = openDatabase(join(path, name));
        database.exec('PRAGMA user_version=99');
        database.close();
        await expectRefused(path, 'storeFromFuture');
      }
    });

    test('with what is not ours in the content: it is not opened; a check looks at it, and says what it is', async () => {
      choose();
      const path = copyTo(join(temporaryFolder(), 'store'));
      const database = openDatabase(join(path, 'objects.db'));
      database.exec('CREATE TRIGGER gone AFTER INSERT ON mark BEGIN DELETE FROM saved; END; CREATE TABLE more (x)');
      database.close();
      await expectRefused(path, 'storeForeign');
      const before = bytesOf(path);
      const report = await lookAtStore(WORKER, path);
      expect(report).toMatchObject({ checkpoints: 2, chunks: 3 });
      expect(report.problems.map(({ problem }) => problem)).toEqual([
        'objects.db: the trigger "gone" is not ours',
        'objects.db: the table "more" is not ours',
      ]);
      expect(bytesOf(path)).toEqual(before);
    });

    test('with what is not ours in the catalog: that is set aside and made anew, and everything works', async () => {
      choose();
      const path = copyTo(join(temporaryFolder(), 'store'));
      const database = openDatabase(join(path, 'catalog.db'));
      database.exec('CREATE TRIGGER gone AFTER UPDATE ON run BEGIN DELETE FROM checkpoint; END');
      database.close();
      const given = await opened(path);
      expect((await given.store.info()).rebuiltAtOpen).toBe(true);
      await expectTable(given, { otherwise: 'works' });
      await given.store.close();
      await expectWhole(path);
    });

    test('with a damaged page of what is saved: the rest can be had, the catalog stays, and a check says so', async () => {
      choose();
      const path = copyTo(join(temporaryFolder(), 'store'));
      damage(join(path, 'objects.db'), 'saved', 'pageno');
      const given = await opened(path);
      await expectTable(given, {
        ...all([...IN_CATALOG, ...BESIDE, ...CHECKS, 'collect garbage'], 'works'),
        otherwise: 'storeUnusable',
      });
      expect((await given.store.fsck(false)).problems.length).toBeGreaterThan(0);
      expect(await given.store.checkpoints(run.id)).toHaveLength(2);
    });

    test('with a damaged page of content: that checkpoint is refused, and the others can be had', async () => {
      choose();
      const path = copyTo(join(temporaryFolder(), 'store'));
      // In the table with large rows, the last page is in the middle of the newest row's bytes.
      damage(join(path, 'objects.db'), 'chunk', 'pageno DESC');
      const given = await opened(path);
      const { store, out } = given;
      expect(await outcomeOf(() => store.restoreCheckpoint(SECOND, join(out, 'second')))).toBe('corrupted');
      await store.restoreCheckpoint(FIRST, join(out, 'first'));
      const { problems } = await store.fsck(false);
      expect(problems.some(({ checkpoint, whole }) => checkpoint === SECOND && whole === FIRST)).toBe(true);
      expect(await outcomeOf(() => OPERATIONS.save(given))).toBe('works');
    });

    onSmallDisk('on a full disk: what is there can be read and taken elsewhere, and room can be made', async () => {
      choose();
      const disk = smallDisk(48);
      const path = copyTo(join(disk, 'store'));
      const given = await opened(path);
      // Creates the reserve.
      await OPERATIONS.save(given);
      const filler = fill(disk);
      await expectTable(given, {
        ...all(WRITING, 'storeFull'),
        // Never taken in where little is left; the file stays where it is.
        'save a file': 'works',
        otherwise: 'works',
      });
      rmSync(filler);
      await given.store.setTrash(SECOND, null);
      await given.store.close();
      await expectWhole(path);
    });

    onSmallDisk('on a disk that is read-only: it is not opened, and later it is', async () => {
      choose();
      const disk = smallDisk(48);
      const path = copyTo(join(disk, 'store'));
      const remount = (how: string) => expect(spawnSync('mount', ['-o', `remount,${how}`, disk]).status).toBe(0);
      remount('ro');
      await expectRefused(path, 'storeUnusable');
      remount('rw');
      await expectWhole(path);
    });
  });
