/** Runs on a real Ray: `npm run test:ray`. */
import { join } from 'node:path';
import * as v from 'valibot';
import { describe, expect, test } from 'vitest';
import { RayEngine } from '../../daemon/engines/ray/ray.ts';
import { LocalReach } from '../../daemon/engines/reaches/local.ts';
import { engineSchema } from '../../protocol/engines.ts';
import { randomId } from '../../protocol/ids.ts';
import { runPause, runResume, runShow, runStop } from '../../protocol/messages/run.ts';
import { log } from '../support/commands.ts';
import { show } from '../support/daemon.ts';
import { type OnEngine, onEngine, STEPS, TOTAL } from '../support/engine-training.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { type Ray, ray, whyNoRay } from '../support/ray.ts';

const isWanted = Boolean(process.env.TRAINSTASH_TEST_RAY);
const why = PYTHON ? (isWanted ? whyNoRay(true) : 'only `npm run test:ray` has them') : 'there is no Python with torch';
if (isWanted && why) console.warn(`TESTS OF RAY ARE SKIPPED: ${why}.`);

describe.skipIf(why !== null)('a run on Ray', () => {
  async function onRay(settings: object = {}): Promise<OnEngine & { head: Ray; folder: string }> {
    const head = await ray();
    const folder = join(temporaryFolder(), "it's shared");
    const setup = [`export TRAINSTASH_NODE=${process.execPath}`];
    const own = { type: 'ray', address: head.url, folder, setup, options: ['--entrypoint-num-cpus=1'], grace: '20s' };
    return { ...(await onEngine({ ...own, ...settings })), head, folder };
  }

  test('is submitted, followed line by line, and completes', async () => {
    const here = await onRay();
    const run = await here.start();
    expect(run).toMatchObject({ status: 'queued', engine: { name: 'box', type: 'ray', phase: 'pending' } });
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 10);
    here.release();
    await here.untilRun(run.id, 'it has completed', ({ status }) => status === 'completed');
    const text = await log(here.client, here.fixture, run.id);
    expect(text.match(/^seen \d+/gm)).toEqual(Array.from({ length: STEPS / 10 }, (_, i) => `seen ${(i + 1) * 10}`));
    expect(text).toContain(TOTAL);
  }, 240_000);

  test('a stop in Ray leaves the time to save, eight seconds here, and the run is resumed here', async () => {
    const here = await onRay({ grace: '60s' });
    const run = await here.start();
    await here.untilRun(run.id, 'it trains', ({ step }) => step > 5);
    // One that is being written already is followed by that of the stop: twice eight seconds.
    here.slowDown();
    const engine = new RayEngine(
      'box',
      v.parse(engineSchema, { type: 'ray', address: here.head.url, folder: here.folder }),
      new LocalReach('box'),
    );
    await engine.cancel(run.engine!.job);
    const stopped = await here.untilRun(run.id, 'it is stopped', ({ status }) => status === 'stopped');
    expect(stopped.lastCheckpoint!.step).toBe(stopped.step);
    expect(stopped.reason).toContain('stopped by the cluster');
    here.release();
    const again = { root: here.fixture.root, run: run.id, environment: here.environment, accept: true, engine: 'here' };
    await here.client.request(runResume, again);
    await here.untilRun(run.id, 'it has completed here', ({ status }) => status === 'completed');
    expect(await log(here.client, here.fixture, run.id)).toContain(TOTAL);
  }, 300_000);

  test('a job that waits for a GPU says so, and is taken back at once', async () => {
    const here = await onRay({ options: ['--entrypoint-num-gpus=1'] });
    const run = await here.start();
    const waits = await here.untilRun(run.id, 'it waits', ({ reason }) => reason.includes('GPUs'));
    expect(waits.status).toBe('queued');
    expect(await here.client.request(runPause, { root: here.fixture.root, run: run.id })).toMatchObject({
      status: 'paused',
      engine: null,
    });
    const { sessions } = await here.client.request(runShow, { root: here.fixture.root, run: run.id });
    expect(sessions).toEqual([]);
  }, 120_000);

  test('a submission that is sent twice is one job', async () => {
    const here = await onRay();
    const config = v.parse(engineSchema, { type: 'ray', address: here.head.url, folder: here.folder });
    const engine = new RayEngine('box', config, new LocalReach('box'));
    const place = join(here.folder, 'tests/a/1');
    await engine.reach.folder(place);
    const program: [string, ...string[]] = ['/bin/sh', '-c', 'echo begun'];
    const work = { name: 'x', key: randomId(), nodes: 1, graceSeconds: 20, secrets: {}, environment: {}, program };
    const [first, second] = await Promise.all([1, 2].map(() => engine.submit({ ...work, places: [place] })));
    expect(second).toEqual(first);
    const ended = await until(
      'it has ended',
      async () => {
        const state = (await engine.poll(first!.jobs)).get(work.key)!;
        return state.phase === 'ended' && state;
      },
      60_000,
    );
    expect(ended.end).toBe('completed');
    expect((await engine.reach.read(`${place}/job.log`, 0, 1_000))?.toString()).toBe('begun\n');
  }, 120_000);

  test('the test of the engine says what it has, and which option is wrong', async () => {
    const good = await (await onRay()).fixture.cli('engine', 'test', 'box', '--trust');
    expect(good.stdout).toContain('the head: Ray 2.');
    expect(good.code).toBe(0);
    const { stdout, code } = await (await onRay({ options: ['--num-gpus=1'] })).fixture.cli(
      'engine',
      'test',
      'box',
      '--trust',
    );
    expect(code).toBe(1);
    expect(stdout).toContain('--entrypoint-num-gpus=');
  }, 180_000);

  test('a head that was restarted has forgotten its jobs, and the run goes on from its newest checkpoint', async () => {
    const here = await onRay();
    const run = await here.start();
    await here.untilRun(run.id, 'it has a checkpoint', ({ lastCheckpoint }) => lastCheckpoint !== null);
    await here.head.stop();
    await here.untilRun(run.id, 'its state is unknown', ({ engine }) => engine?.unknownSince != null);
    await here.head.start();
    await here.untilRun(run.id, 'it trains again', ({ sessions, status }) => sessions === 2 && status === 'running');
    here.release();
    await here.untilRun(run.id, 'it has completed', ({ status }) => status === 'completed');
    expect(await log(here.client, here.fixture, run.id)).toContain(TOTAL);
    expect((await show(here.client, here.fixture, run.id)).run.step).toBe(STEPS);
    await here.client.request(runStop, { root: here.fixture.root, run: run.id }).catch(() => {});
  }, 480_000);
});
