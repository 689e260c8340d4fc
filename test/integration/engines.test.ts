/** Runs on an engine at its worst moments: submissions that take long, answers that are lost, cancellations that fail. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Client } from '../../client/connect.ts';
import { runPause, runResume, runShow, runStart } from '../../protocol/messages/run.ts';
import { afterwards } from '../support/cleanup.ts';
import { type Fixture, kill, makeFixture, openProject, shellEnvironment, show } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { type ObstructedSlurm, obstructedSlurm } from '../support/obstructed-slurm.ts';
import { whyNoSlurm } from '../support/slurm.ts';

const TIMED_OUT = 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation';

const why = whyNoSlurm();
if (why) console.warn(`TESTS OF ENGINES AT THEIR WORST ARE SKIPPED: ${why}.`);

interface OnCluster {
  cluster: ObstructedSlurm;
  fixture: Fixture;
  client: Client;
}

async function onCluster(): Promise<OnCluster> {
  const cluster = await obstructedSlurm();
  const own = { type: 'slurm', folder: cluster.shared };
  const engines = { cluster: own, nowhere: { ...own, options: ['--partition=x'] } };
  const jobs = { wait: { run: ['sh', '-c', 'until [ -e stop ]; do sleep 0.05; done'], args: 'none' } };
  const fixture = makeFixture({ env: cluster.variables, config: { engines, jobs } });
  afterwards(() => cluster.hold(false));
  return { cluster, fixture, client: await openProject(fixture) };
}

function start({ client, fixture, cluster }: OnCluster, options: object = {}) {
  const environment = { ...shellEnvironment(), ...cluster.variables };
  return client.request(runStart, { root: fixture.root, job: 'wait', params: {}, environment, ...options });
}

function records({ fixture }: OnCluster): string[] {
  const folder = join(fixture.store, 'engines');
  return existsSync(folder) ? readdirSync(folder) : [];
}

test.skipIf(why)('while a queued run is being submitted nothing else starts it', async () => {
  const here = await onCluster();
  const { client, cluster, fixture } = here;
  const first = await start(here);
  const queued = await start(here, { queue: true });
  expect(queued.status).toBe('queued');
  cluster.hold(true);
  const again = { root: fixture.root, run: queued.id, environment: cluster.variables, accept: true };
  const submitted = client.request(runResume, { ...again, engine: 'cluster' });
  await until('sbatch was called', () => cluster.began());
  await expect(client.request(runResume, { ...again, engine: 'here' })).rejects.toMatchObject({
    code: 'trainsElsewhere',
  });
  // The device is free now: its turn would have come.
  await client.request(runPause, { root: fixture.root, run: first.id, accept: true });
  await until('the first one is over', async () => (await show(client, fixture, first.id)).run.status !== 'running');
  cluster.hold(false);
  expect(await submitted).toMatchObject({ status: 'queued', engine: { job: '1' } });
  const { sessions } = await client.request(runShow, { root: fixture.root, run: queued.id });
  expect(sessions).toEqual([]);
});

test.skipIf(why)(
  'a job whose answer was lost is followed, one that waits is taken back, and a refused one leaves nothing',
  async () => {
    const here = await onCluster();
    const { cluster, client, fixture } = here;
    cluster.fail('sbatch', TIMED_OUT);
    const run = await start(here, { engine: 'cluster' });
    expect(run.engine).toMatchObject({ job: '1' });
    cluster.fail('sbatch', null);
    await expect(start(here, { engine: 'nowhere' })).rejects.toMatchObject({ code: 'engineRefused' });
    await expect(start(here, { engine: 'cluster', nodes: 2 })).rejects.toMatchObject({
      code: 'engineUnusable',
      message: expect.stringContaining('"launcher"'),
    });
    expect(records(here)).toEqual([`${run.id}.json`]);
    const paused = await client.request(runPause, { root: fixture.root, run: run.id });
    expect(paused).toMatchObject({ status: 'paused', engine: null });
    expect(records(here)).toEqual([]);
    const { stdout } = await fixture.cli('ls', '--json', '--all', '--drafts');
    expect(JSON.parse(stdout).map(({ id }: { id: string }) => id)).toEqual([run.id]);
  },
);

test.skipIf(why)('a daemon that dies while it submits finds the job again', async () => {
  const here = await onCluster();
  const { cluster, client, fixture } = here;
  cluster.hold(true);
  start(here, { engine: 'cluster' }).catch(() => {});
  await until('sbatch was called', () => cluster.began());
  const [name] = records(here);
  expect(name).toBeDefined();
  kill(fixture.daemonPid(), 'SIGKILL');
  client.close();
  cluster.hold(false);
  await until('the job was taken', () => cluster.jobs().length === 1);
  const next = await openProject(fixture);
  const id = name!.replace('.json', '');
  await until('its job is known', async () => (await show(next, fixture, id)).run.engine?.job === '1');
});

test.skipIf(why)('a run whose job cannot be cancelled is not resumed before the job has ended', async () => {
  const here = await onCluster();
  const { cluster, client, fixture } = here;
  const run = await start(here, { engine: 'cluster' });
  cluster.fail('scancel', 'scancel: error: Access/permission denied');
  const asked = { root: fixture.root, run: run.id };
  await expect(client.request(runPause, asked)).rejects.toMatchObject({
    code: 'engineRefused',
    message: expect.stringContaining('It may go on there'),
  });
  const again = { ...asked, environment: cluster.variables, accept: true, engine: 'here' };
  await expect(client.request(runResume, again)).rejects.toMatchObject({ code: 'trainsElsewhere' });
  expect(records(here)).toHaveLength(1);
  cluster.fail('scancel', null);
  // It is asked again by itself.
  await until('it is paused', async () => (await show(client, fixture, run.id)).run.status === 'paused', 30_000);
  expect(records(here)).toEqual([]);
});
