/** Files left by killed writers: they are counted and removed, and files that are still being written are not touched. */
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, test } from 'vitest';
import { HeldLock } from '../../base/lock.ts';
import { startStore } from '../../daemon/store/client.ts';
import { projectWhere } from '../../protocol/messages/project.ts';
import { SessionDirectory } from '../../session/directory.ts';
import { sweepSession } from '../../session/sweep.ts';
import { afterwards } from '../support/cleanup.ts';
import { kill, makeFixture, openProject, startSmall, untilStatus } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { DIST, makeLaunch } from '../support/trainer.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** Makes a session directory as a killed session leaves it. */
function killedSession(sessions: string, id: string, overrides: { createdAt?: number } = {}): SessionDirectory {
  const launch = makeLaunch({ session: id, createdAt: Date.now() - HOUR_MS, ...overrides });
  const directory = SessionDirectory.create(sessions, launch);
  const write = (path: string, text = 'half') => {
    mkdirSync(join(directory.path, path, '..'), { recursive: true });
    writeFileSync(join(directory.path, path), text);
  };
  write('inbox/.tmp-000000009-000001-aaaaaaaaaaaa/state.pt', 'x'.repeat(10_000));
  write('inbox/000000008-000001-bbbbbbbbbbbb/state.pt', 'whole');
  write('taking/bad-000000007-000001-cccccccccccc/state.pt', 'may be all that there is');
  write('restore/state.pt');
  write('.tmp-restore-xyz/state.pt');
  write('control.tmp-123');
  write('events.ndjson', '');
  write('output.log', 'printed');
  return directory;
}

const KEPT = ['events.ndjson', 'inbox', 'launch.json', 'output.log', 'taking'];

describe('of a session', () => {
  test('that was killed nothing is left but what it said and what it handed over', () => {
    const directory = killedSession(temporaryFolder(), 'aaaaaaaaaaaa');
    sweepSession(directory, expectNothing);
    expect(readdirSync(directory.path).sort()).toEqual(KEPT);
    expect(directory.inbox()).toEqual(['000000008-000001-bbbbbbbbbbbb']);
    expect(readdirSync(directory.file('inbox'))).toEqual(directory.inbox());
    expect(directory.claimed()).toEqual(['bad-000000007-000001-cccccccccccc']);
    sweepSession(directory, expectNothing, Date.now() + 8 * DAY_MS);
    expect(directory.claimed()).toEqual([]);
  });

  test('that lives, or is only being started, nothing is taken', () => {
    const sessions = temporaryFolder();
    const live = killedSession(sessions, 'aaaaaaaaaaaa');
    const before = readdirSync(live.path, { recursive: true }).sort();
    const lock = HeldLock.tryAcquire(live.file('lock'))!;
    sweepSession(live, expectNothing);
    expect(
      readdirSync(live.path, { recursive: true })
        .filter((name) => name !== 'lock')
        .sort(),
    ).toEqual(before);
    lock.release();
    const starting = killedSession(sessions, 'bbbbbbbbbbbb', { createdAt: Date.now() });
    sweepSession(starting, expectNothing);
    expect(existsSync(join(starting.path, 'restore/state.pt'))).toBe(true);
    // The session has started and ended.
    starting.writeExit({ outcome: 'failed', step: 0, at: 0, reason: '', error: null });
    sweepSession(starting, expectNothing);
    expect(existsSync(starting.file('restore'))).toBe(false);
  });

  test('whose run was being forgotten the rest goes, unless there is a checkpoint in it', () => {
    const sessions = temporaryFolder();
    for (const [id, kept] of [
      ['aaaaaaaaaaaa', false],
      ['bbbbbbbbbbbb', true],
    ] as const) {
      const directory = new SessionDirectory(join(sessions, id));
      mkdirSync(kept ? join(directory.path, 'inbox/000000008-000001-bbbbbbbbbbbb') : directory.path, {
        recursive: true,
      });
      writeFileSync(join(directory.path, 'events.ndjson'), '');
      sweepSession(directory, expectNothing);
      expect(existsSync(directory.path), 'while it may be in the making').toBe(true);
      sweepSession(directory, expectNothing, Date.now() + HOUR_MS);
      expect(existsSync(directory.path)).toBe(kept);
    }
  });
});

test('what is beside the databases is counted, and counts to the quota, but for what is a person’s own', async () => {
  const path = join(temporaryFolder(), 'store');
  const write = (name: string, bytes: number) => {
    mkdirSync(join(path, name, '..'), { recursive: true });
    writeFileSync(join(path, name), Buffer.alloc(bytes));
  };
  killedSession(join(path, 'sessions'), 'aaaaaaaaaaaa');
  write('files/aaaaaaaaaaaa/own.bin', 1_000_000);
  write('shelf/aaaaaaaaaaaa/files/0', 2_000_000);
  write('code/tree/train.py', 3_000_000);
  write('exports/aaaaaaaaaaaa.tmp/half', 4_000_000);
  const store = await startStore(pathToFileURL(join(DIST, 'store-worker.js')), { path, quotaBytes: 64 << 20 });
  afterwards(() => store.close().catch(() => {}));
  const usage = await store.usage();
  expect(usage).toMatchObject({ filesBytes: 1_000_000, stashesBytes: 2_000_000, otherBytes: 3_000_000 });
  expect(usage.leftBytes).toBeGreaterThan(4_010_000);
  expect(usage.leftBytes).toBeLessThan(4_011_000);
  expect(usage.sessionsBytes).toBeLessThan(10_000);
  const file = join(path, '..', 'file');
  writeFileSync(file, Buffer.alloc(30 << 20));
  const take = async (bytes: number) => {
    await store.setQuota(bytes);
    const { dev, ino, size, mtimeNs } = statSync(file, { bigint: true });
    const expected = { ino: `${dev}:${ino}`, bytes: Number(size), mtimeMs: Number(mtimeNs) / 1e6 };
    return store.saveFile({ root: join(path, '..'), branch: 'main', path: 'file', expected });
  };
  // It would fit if there were only databases.
  expect(await take(36 << 20)).toBeNull();
  expect(await take(64 << 20)).not.toBeNull();
});

test('a script that is killed while it writes a checkpoint leaves nothing, whether a daemon sees it or only the next one does', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const run = await untilStatus(client, fixture, (await startSmall(client, fixture)).id, 'completed');
  const sessions = join(fixture.store, 'sessions');
  const code = join(fixture.store, 'code.git');
  const old = new Date(Date.now() - HOUR_MS);
  const { pid } = client.daemon;
  kill(pid, 'SIGKILL');
  await client.closed;
  // Left by a process killed while working in it; they would block further snapshots.
  for (const name of ['index-abc.lock', 'index-checkout-abc']) {
    writeFileSync(join(code, name), '');
    utimesSync(join(code, name), old, old);
  }
  const left = join(sessions, run.session!, 'inbox/.tmp-000000009-000001-aaaaaaaaaaaa');
  mkdirSync(left);
  writeFileSync(join(left, 'state.pt'), 'half');
  const beside = join(fixture.folder, '.trainstash-tmp-dddddddddddd');
  mkdirSync(join(fixture.store, 'exports'), { recursive: true });
  mkdirSync(beside);
  writeFileSync(join(fixture.store, 'exports/dddddddddddd.json'), JSON.stringify({ temporary: beside }));
  const next = await openProject(fixture);
  await until('it is swept', () => [left, beside].every((path) => !existsSync(path)));
  expect(readdirSync(code).filter((name) => /lock|checkout/.test(name))).toEqual([]);
  const { usage } = await next.request(projectWhere, { root: fixture.root });
  expect(usage.leftBytes).toBe(0);
});

function expectNothing(text: string): void {
  throw new Error(text);
}
