/** Any process dies at any time: trainings continue, nothing committed is lost, every metric exists once. */
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { connect } from '../../client/connect.ts';
import { daemonHandOver, daemonStatus, daemonStop } from '../../protocol/messages/daemon.ts';
import { metricsQuery } from '../../protocol/messages/metrics.ts';
import { projectOpen } from '../../protocol/messages/project.ts';
import { runList, runResume } from '../../protocol/messages/run.ts';
import { storeFsck } from '../../protocol/messages/store.ts';
import { chaosRounds } from '../chaos/rounds.ts';
import {
  BUILD,
  isAlive,
  kill,
  makeFixture,
  openProject,
  sessionDirectory,
  shellEnvironment,
  show,
  startHeld,
  startSmall,
  trainerPid,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { FULL } from '../support/sample.ts';
import { DIST } from '../support/trainer.ts';

const EVERY_STEP_ONCE = Array.from({ length: 18 }, (_, i) => i + 1);

test('the daemon is killed while a trainer runs: the training goes on and the next daemon takes it over', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run, release } = await startHeld(client, fixture, 3);
  const pid = await trainerPid(fixture, run);
  kill(client.daemon.pid, 'SIGKILL');
  await client.closed;
  release(8);
  await until('the trainer does steps without a daemon', () =>
    readFileSync(sessionDirectory(fixture, run).file('events'), 'utf8').includes('"step":8'),
  );
  expect(isAlive(pid)).toBe(true);

  const next = await fixture.connect();
  expect(next.daemon.pid).not.toBe(client.daemon.pid);
  release();
  await untilStatus(next, fixture, run.id, 'completed');
  const { series } = await next.request(metricsQuery, { root: fixture.root, run: run.id, names: ['loss'] });
  expect(series[0]!.steps).toEqual(EVERY_STEP_ONCE);
  expect((await show(next, fixture, run.id)).checkpoints.at(-1)!.step).toBe(18);
});

test('the trainer and the daemon are killed together: the next daemon says lost, and the resume is exact', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const whole = await startSmall(client, fixture, { slow: 1 });
  await untilStatus(client, fixture, whole.id, 'completed');
  const { run, release } = await startHeld(client, fixture, 9);
  kill(await trainerPid(fixture, run), 'SIGKILL');
  kill(client.daemon.pid, 'SIGKILL');
  await client.closed;
  const next = await openProject(fixture);
  await untilStatus(next, fixture, run.id, 'lost');
  release();
  await next.request(runResume, { root: fixture.root, run: run.id, environment: shellEnvironment(), accept: false });
  await untilStatus(next, fixture, run.id, 'completed');
  const digest = async (id: string) => (await show(next, fixture, id)).checkpoints.at(-1)!.stateDigest;
  expect(await digest(run.id)).toBe(await digest(whole.id));
});

test('a training that never met a daemon is all there when one starts', async () => {
  const fixture = makeFixture();
  const alone = await fixture.cli('run', 'small', '--no-daemon', '-p', 'slow=5');
  expect(alone).toMatchObject({ code: 0 });
  expect(existsSync(join(fixture.folder, 'state', 'daemon.json'))).toBe(false);
  const client = await openProject(fixture);
  const { run, checkpoints } = await until('the run is adopted', async () => {
    const { runs } = await client.request(runList, { root: fixture.root, drafts: true });
    return runs[0]?.status === 'completed' && show(client, fixture, runs[0].id);
  });
  expect(run).toMatchObject({ number: 1, name: 'small #1', job: 'small', step: 18, branch: 'main' });
  expect(checkpoints.at(-1)!.step).toBe(18);
  const { series } = await client.request(metricsQuery, { root: fixture.root, run: run.id, names: ['loss'] });
  expect(series[0]!.steps).toEqual(EVERY_STEP_ONCE);
});

test('the folder that the daemon was started from is deleted: it goes on, and starts trainings', async () => {
  const fixture = makeFixture();
  const dist = join(fixture.folder, 'extension');
  cpSync(DIST, dist, { recursive: true });
  const client = await fixture.connect({ dist });
  rmSync(dist, { recursive: true });
  await client.request(projectOpen, { root: fixture.root, trusted: true });
  const run = await startSmall(client, fixture);
  await untilStatus(client, fixture, run.id, 'completed');
});

test('a newer client takes over from an older daemon, a training goes on; an older client changes nothing', async () => {
  const fixture = makeFixture();
  const old = await openProject(fixture);
  const { run, release } = await startHeld(old, fixture, 2);
  const pid = await trainerPid(fixture, run);
  const newer = await fixture.connect({ build: { ...BUILD, builtAt: BUILD.builtAt + 1 } });
  await old.closed;
  expect(newer.daemon.pid).not.toBe(old.daemon.pid);
  expect(isAlive(pid)).toBe(true);
  release();
  await untilStatus(newer, fixture, run.id, 'completed');

  const older = await fixture.connect({ build: { version: '0.0.1', builtAt: 0 } });
  expect(older.daemon.pid).toBe(newer.daemon.pid);
  expect(await older.request(daemonHandOver, { build: { version: '0.0.1', builtAt: 0 } })).toEqual({
    accepted: false,
  });
});

test('many clients that find no daemon at once start one', async () => {
  const fixture = makeFixture();
  const clients = await Promise.all(Array.from({ length: 6 }, () => fixture.connect()));
  expect(new Set(clients.map(({ daemon }) => daemon.pid)).size).toBe(1);
  const started = readFileSync(join(fixture.folder, 'state/daemon.log'), 'utf8').match(/started, pid/g);
  expect(started).toHaveLength(1);
});

test('a stale socket is replaced; a file in its place is not', async () => {
  const fixture = makeFixture();
  const client = await fixture.connect();
  kill(client.daemon.pid, 'SIGKILL');
  await client.closed;
  const next = await fixture.connect();
  await next.request(daemonStop, {});
  await next.closed;
  await until('the daemon is gone', () => !isAlive(next.daemon.pid));
  const socket = join(fixture.folder, 'state/daemon.sock');
  rmSync(socket, { force: true });
  writeFileSync(socket, 'mine');
  await expect(fixture.connect()).rejects.toMatchObject({
    code: 'daemonUnavailable',
    message: expect.stringContaining('is not a socket; move it away'),
  });
  expect(readFileSync(socket, 'utf8')).toBe('mine');
  rmSync(socket);
  // The failed process has released the lock.
  await fixture.connect();
});

test('without clients and live runs the daemon leaves', async () => {
  const fixture = makeFixture({ env: { TRAINSTASH_IDLE_EXIT_MS: '300' } });
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 40 });
  const { pid } = client.daemon;
  client.close();
  await until('the run has ended', () => sessionDirectory(fixture, run).exit());
  await until('the daemon has left', () => !isAlive(pid));
  const next = await fixture.connect();
  expect((await show(next, fixture, run.id)).run.status).toBe('completed');
});

test('a daemon whose state directory is deleted leaves', async () => {
  const fixture = makeFixture({ env: { TRAINSTASH_IDLE_EXIT_MS: '100000' } });
  const client = await fixture.connect();
  rmSync(join(fixture.folder, 'state'), { recursive: true });
  await until('the daemon has left', () => !isAlive(client.daemon.pid));
});

test('a suspended trainer is neither lost nor doubled', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run, release } = await startHeld(client, fixture, 3);
  const pid = await trainerPid(fixture, run);
  kill(pid, 'SIGSTOP');
  // Waits longer than the daemon's poll interval.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  expect((await show(client, fixture, run.id)).run.status).toBe('running');
  kill(pid, 'SIGCONT');
  release();
  await untilStatus(client, fixture, run.id, 'completed');
});

test('the store is deleted while a run uses it: the training ends by itself and the daemon goes on', async () => {
  const fixture = makeFixture();
  const client = await openProject(fixture);
  const { run, release } = await startHeld(client, fixture, 3);
  const pid = await trainerPid(fixture, run);
  // The trainer and the daemon still write there: a folder may be filled again while it is emptied.
  rmSync(fixture.store, { recursive: true, maxRetries: 20, retryDelay: 20 });
  release();
  await until('the trainer has ended', () => !isAlive(pid));
  const { runs } = await client.request(runList, { root: fixture.root });
  expect(runs).toEqual([]);
  const next = await startSmall(client, fixture);
  await untilStatus(client, fixture, next.id, 'completed');
});

test('two daemons never own one store', async () => {
  const fixture = makeFixture();
  await openProject(fixture);
  const other = { ...fixture.env, TRAINSTASH_STATE: join(fixture.folder, 'other') };
  const second = await connect({ name: 'second', build: BUILD, dist: DIST, env: other });
  await expect(second.request(projectOpen, { root: fixture.root, trusted: true })).rejects.toMatchObject({
    code: 'storeOwned',
    data: { pid: fixture.daemonPid() },
  });
  await second.request(daemonStop, {});
  await second.closed;
});

test('on a host where better-sqlite3 cannot load, everything works with Node’s own SQLite', async () => {
  const fixture = makeFixture({ env: { TRAINSTASH_SQLITE: 'node' } });
  const client = await openProject(fixture);
  const run = await startSmall(client, fixture, { slow: 10 });
  await untilStatus(client, fixture, run.id, 'completed');
  expect((await client.request(daemonStatus, {})).sqlite).toBe('node:sqlite');
  const fsck = await client.request(storeFsck, { root: fixture.root, rebuild: true });
  expect(fsck.problems).toEqual([]);
  expect((await show(client, fixture, run.id)).checkpoints.at(-1)!.step).toBe(18);
  // Both drivers read the same store files.
  await client.request(daemonStop, {});
  await client.closed;
  const better = await fixture.cli('fsck', '--json');
  expect(JSON.parse(better.stdout).problems).toEqual([]);
});

test('rounds of kills at random moments: no loss, no inexact resume', async () => {
  const fixture = makeFixture();
  const rounds = FULL ? 20 : 4;
  const report = await chaosRounds(fixture, rounds, Date.now());
  expect(report).toMatchObject({ losses: [], inexact: [] });
  expect(report.kills).toBeGreaterThanOrEqual(rounds);
}, 300_000);

test('a training killed in the middle of writing a checkpoint leaves only whole ones', async () => {
  const { directory } = await import('../support/trainer.ts').then(({ train, makeLaunch }) =>
    train(
      join(makeFixture().folder, 'sessions'),
      makeLaunch({
        params: { slow: 3, killAt: 14, marker: join('/tmp', `trainstash-marker-${process.pid}`) },
        checkpoint: { everySeconds: 0, everySteps: 1, everyEpochs: null, onBest: false },
      }),
    ),
  );
  rmSync(join('/tmp', `trainstash-marker-${process.pid}`), { force: true });
  const { digestOf } = await import('../../daemon/store/checkpoints/writer.ts');
  for (const name of directory.inbox()) expect(digestOf(join(directory.file('inbox'), name))).toMatch(/^[0-9a-f]{64}$/);
  expect(spawnSync('ls', [directory.file('inbox')], { encoding: 'utf8' }).stdout).not.toContain('.tmp');
});
