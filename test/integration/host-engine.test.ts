/** Runs on a host with SSH: started there, followed, killed, cut off, and taken back, through a real sshd. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { describe, expect, test, vi } from 'vitest';
import { HostEngine } from '../../daemon/engines/host/host.ts';
import { SshReach } from '../../daemon/engines/reaches/ssh.ts';
import { engineSchema } from '../../protocol/engines.ts';
import { randomId } from '../../protocol/ids.ts';
import { runPause, runResume, runStop } from '../../protocol/messages/run.ts';
import { box, whyNoBox } from '../support/box.ts';
import { log } from '../support/commands.ts';
import { openProject, show } from '../support/daemon.ts';
import { type OnEngine, onEngine, STEPS, TOTAL } from '../support/engine-training.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { type SshServer, sshServer, whyNoSsh } from '../support/ssh-server.ts';

const why = PYTHON ? whyNoSsh() : 'there is no Python with torch';
if (why) console.warn(`TESTS OF A HOST WITH SSH ARE SKIPPED: ${why}.`);

interface OnHost extends OnEngine {
  server: SshServer;
  /** Folder of the engine, on the host. */
  folder: string;
}

async function onHost(settings: object = {}, given?: SshServer): Promise<OnHost> {
  const server = given ?? (await sshServer());
  const folder = join(temporaryFolder(), "runs of other's");
  const setup = [`export TRAINSTASH_NODE=${process.execPath}`];
  const here = await onEngine({ type: 'ssh', host: 'login', folder, setup, ...settings }, server.variables);
  return { ...here, server, folder };
}

/** Returns the process that a job's file names first: node-run's of `child`. */
function pidIn({ folder }: OnHost, job: string, file = 'child', line = 0): number {
  return Number(readFileSync(join(folder, 'jobs', job, file), 'utf8').split('\n')[line]);
}

describe.skipIf(why !== null)('a run on a host with SSH', () => {
  test('is followed live, goes on after its process was killed, and is resumed here with each step once', async () => {
    const here = await onHost();
    const { client, fixture } = here;
    const run = await here.start();
    expect(run).toMatchObject({ status: 'queued', engine: { name: 'box', type: 'ssh', phase: 'pending', life: 1 } });
    const { job } = run.engine!;
    const trains = await here.untilRun(run.id, 'it has a checkpoint', ({ lastCheckpoint }) => lastCheckpoint !== null);
    expect(trains.engine).toMatchObject({ job });
    process.kill(pidIn(here, job), 'SIGKILL');
    const again = await here.untilRun(
      run.id,
      'it has a second life',
      ({ sessions, status, step, lastCheckpoint }) =>
        sessions === 2 && status === 'running' && step > lastCheckpoint!.step,
    );
    expect(again.notices.map(({ code }) => code)).toContain('resubmitted');
    const asked = { root: fixture.root, run: run.id, environment: here.environment, accept: true };
    await expect(client.request(runResume, { ...asked, engine: 'here' })).rejects.toMatchObject({
      code: 'trainsElsewhere',
    });
    await client.request(runPause, { root: fixture.root, run: run.id });
    const paused = await here.untilRun(run.id, 'it is paused', ({ status }) => status === 'paused');
    expect(paused.lastCheckpoint!.step).toBe(paused.step);
    await client.request(runResume, { ...asked, engine: 'here' });
    here.release();
    await here.untilRun(run.id, 'it has completed here', ({ status }) => status === 'completed');
    expect(await log(client, fixture, run.id)).toContain(TOTAL);
    expect(existsSync(join(fixture.store, 'engines', `${run.id}.json`))).toBe(false);
  }, 150_000);
});

const FULL = Boolean(process.env.TRAINSTASH_TEST_ENGINES);
describe.skipIf(why !== null || !FULL)('a run on a host with SSH, the long cases', () => {
  test('a connection that is cut leaves it unknown, never lost, and its log goes on where it was', async () => {
    const here = await onHost();
    const run = await here.start();
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 10);
    await here.server.stop();
    const away = await here.untilRun(run.id, 'its state is unknown', ({ engine }) => engine?.unknownSince != null);
    expect(away.status).toBe('running');
    here.release();
    await here.server.start();
    await here.untilRun(run.id, 'it has completed', ({ status }) => status === 'completed');
    const lines = (await log(here.client, here.fixture, run.id)).match(/^seen \d+/gm)!;
    expect(lines).toEqual(Array.from({ length: STEPS / 10 }, (_, i) => `seen ${(i + 1) * 10}`));
  }, 240_000);

  test.skipIf(whyNoBox() !== null)(
    'a host whose network is gone is unknown, and one that was rebooted goes on from the newest checkpoint',
    async () => {
      const host = await box();
      const here = await onHost({}, host.server);
      const run = await here.start();
      const trains = await here.untilRun(
        run.id,
        'it has a checkpoint',
        ({ lastCheckpoint }) => lastCheckpoint !== null,
      );
      expect(trains.engine!.nodes).toBe('box');
      host.connect(false);
      await here.untilRun(run.id, 'its state is unknown', ({ engine }) => engine?.unknownSince != null);
      host.connect(true);
      const known = await here.untilRun(run.id, 'its state is known', ({ engine }) => engine?.unknownSince === null);
      expect(known).toMatchObject({ status: 'running', sessions: 1 });
      await host.reboot();
      await here.untilRun(run.id, 'it trains again', ({ sessions, status }) => sessions === 2 && status === 'running');
      here.release();
      await here.untilRun(run.id, 'it has completed', ({ status }) => status === 'completed');
      expect(await log(here.client, here.fixture, run.id)).toContain(TOTAL);
    },
    360_000,
  );

  test('the script of a job that is killed leaves the training alive and known', async () => {
    const here = await onHost();
    const run = await here.start();
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 10);
    const { job } = run.engine!;
    process.kill(pidIn(here, job, 'facts', 3), 'SIGKILL');
    // A later question has the same answer.
    const { step } = (await show(here.client, here.fixture, run.id)).run;
    const on = await here.untilRun(run.id, 'it trains on', (now) => now.step > step + 200);
    expect(on).toMatchObject({ sessions: 1, status: 'running' });
    await here.client.request(runStop, { root: here.fixture.root, run: run.id });
    await here.untilRun(run.id, 'it has stopped', ({ status }) => status === 'stopped');
  }, 240_000);

  test('a process that is asked to end there saves its last step, and is not started again', async () => {
    const here = await onHost();
    const run = await here.start();
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 10);
    process.kill(pidIn(here, run.engine!.job, 'facts', 3), 'SIGTERM');
    const ended = await here.untilRun(run.id, 'it is stopped', ({ status }) => status === 'stopped');
    expect(ended.reason).toContain('stopped on box');
    expect(ended.lastCheckpoint!.step).toBe(ended.step);
  }, 240_000);

  test('runs wait there for their turn, and one that waits is taken back', async () => {
    const here = await onHost();
    const first = await here.start();
    await here.untilRun(first.id, 'it trains', ({ step }) => step > 10);
    const second = await here.start();
    const third = await here.start();
    const waits = await here.untilRun(second.id, 'the second one waits', ({ engine }) => engine?.reason === 'its turn');
    expect(waits.reason).toContain('its turn');
    await here.client.request(runPause, { root: here.fixture.root, run: third.id });
    const back = await here.untilRun(third.id, 'it is taken back', ({ status }) => status === 'paused');
    expect(back.sessions).toBe(0);
    here.release();
    for (const { id } of [first, second])
      await here.untilRun(id, 'it has completed', ({ status }) => status === 'completed');
  }, 240_000);

  test('a second training of a run on that host is refused there, whoever has sent it', async () => {
    const here = await onHost();
    const run = await here.start();
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 10);
    const reach = new SshReach('box', 'login', 0);
    const config = v.parse(engineSchema, { type: 'ssh', host: 'login', folder: here.folder });
    vi.stubEnv('PATH', here.server.variables.PATH!);
    const engine = new HostEngine('box', config, reach);
    const place = join(here.folder, 'runs', run.id, '9');
    mkdirSync(place);
    const work = { name: 'x', key: randomId(), nodes: 1, graceSeconds: 30, secrets: {}, environment: {} };
    const program: [string, ...string[]] = ['/bin/touch', join(place, 'begun')];
    const { jobs } = await engine.submit({ ...work, places: [place], program });
    const ended = await until('it has ended', async () => {
      const state = (await engine.poll(jobs)).get(jobs[0]!);
      return state?.phase === 'ended' && state;
    });
    expect(ended.end).toBe('failed');
    expect(readFileSync(join(place, 'job.log'), 'utf8')).toContain('trains this run already');
    expect(existsSync(join(place, 'begun'))).toBe(false);
    engine.close();
  }, 120_000);

  test('a program that somebody has changed there is sent again', async () => {
    const here = await onHost();
    here.release();
    const first = await here.start();
    await here.untilRun(first.id, 'it has completed', ({ status }) => status === 'completed');
    const programs = join(here.folder, 'programs');
    const file = join(programs, readdirSync(programs)[0]!, 'node-run.mjs');
    writeFileSync(file, 'process.exit(3)');
    const second = await here.start();
    await here.untilRun(second.id, 'it has completed too', ({ status }) => status === 'completed');
  }, 240_000);

  test('a daemon that starts anew follows it on', async () => {
    const here = await onHost();
    const run = await here.start();
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 10);
    process.kill(here.fixture.daemonPid(), 'SIGKILL');
    const client = await openProject(here.fixture);
    here.release();
    await until(
      'it has completed',
      async () => (await show(client, here.fixture, run.id)).run.status === 'completed',
      60_000,
    );
    expect((await show(client, here.fixture, run.id)).run).toMatchObject({ step: STEPS, sessions: 1 });
  }, 240_000);

  test('the test of an engine says what is missing on the host', async () => {
    const here = await onHost();
    const good = await here.fixture.cli('engine', 'test', 'box', '--trust');
    expect(good.stdout).toContain('python: Python 3');
    expect(good.code).toBe(0);
    const bad = await onHost({ setup: ['export TRAINSTASH_NODE=/nowhere/node PATH=/usr/sbin:/usr/bin/nowhere'] });
    const { code, stdout } = await bad.fixture.cli('engine', 'test', 'box', '--trust');
    const closed = await onHost({ folder: '/proc/trainstash' });
    expect((await closed.fixture.cli('engine', 'test', 'box', '--trust')).stdout).toContain('cannot be made on login');
    expect(code).toBe(1);
    expect(stdout).toContain('no Node 20 or newer as /nowhere/node');
    expect(stdout).toContain('there is no Python 3.9');
  }, 120_000);
});
