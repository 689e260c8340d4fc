/** Runs on a real Slurm: submitted, started again after a requeue and a preemption, and none of their steps lost. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runPause, runResume, runShow, runStartArray, runStop } from '../../protocol/messages/run.ts';
import { log } from '../support/commands.ts';
import { openProject, show } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { environmentOf, onSlurm, STEPS, start, TOTAL, untilRun, whyNoTraining } from '../support/on-slurm.ts';
import { sshServer, whyNoSsh } from '../support/ssh-server.ts';

const why = whyNoTraining();

describe.skipIf(why !== null)('a run on Slurm', () => {
  test('goes on after a requeue and after a preemption, with each step once, and its log follows', async () => {
    const here = await onSlurm();
    const { cluster, fixture, client } = here;
    const run = await start(here);
    expect(run).toMatchObject({ status: 'queued', engine: { name: 'cluster', phase: 'pending', life: 1 } });
    const job = run.engine!.job;
    await untilRun(here, run.id, 'it trains', ({ step }) => step > 20);
    cluster.call('scontrol', 'requeue', job);
    await untilRun(
      here,
      run.id,
      'it trains again',
      ({ sessions, status, step, lastCheckpoint }) =>
        sessions === 2 && status === 'running' && step > (lastCheckpoint?.step ?? STEPS) + 5,
    );
    const urgent = cluster
      .call('sbatch', '--parsable', '-p', 'urgent', '-c2', '-o', '/dev/null', '--wrap', 'srun sleep 0.1')
      .trim();
    await until('the urgent job has run', () => cluster.job(urgent)?.JobState === 'COMPLETED', 60_000);
    const ended = await untilRun(here, run.id, 'it has completed', ({ status }) => status === 'completed');
    expect(ended).toMatchObject({ sessions: 3, step: STEPS, engine: { phase: 'ended' } });
    const { sessions, checkpoints } = await client.request(runShow, { root: fixture.root, run: run.id });
    expect(sessions.map(({ allocation }) => [allocation?.kind, allocation?.job, allocation?.restart])).toEqual([
      ['slurm', job, 0],
      ['slurm', job, 1],
      ['slurm', job, 2],
    ]);
    // What a life saved after its signal is what the next one begins with: no step is lost.
    const saved = checkpoints.filter(({ reasons }) => reasons.includes('signal')).map(({ step }) => step);
    expect(sessions.slice(1).map(({ resumedFrom }) => resumedFrom!.step)).toEqual(saved);
    expect(await log(client, fixture, run.id)).toContain(`total ${TOTAL} lr 1.0`);
    expect(existsSync(join(fixture.store, 'engines', `${run.id}.json`))).toBe(false);
  }, 150_000);
});

const FULL = Boolean(process.env.TRAINSTASH_TEST_ENGINES);
describe.skipIf(why !== null || !FULL)('a run on Slurm, the long cases', () => {
  test('it pauses, resumes here and there, and a second training of it is refused meanwhile', async () => {
    const here = await onSlurm();
    const { fixture, client } = here;
    const run = await start(here);
    await untilRun(here, run.id, 'it trains', ({ step }) => step > 10);
    const again = { root: fixture.root, run: run.id, environment: environmentOf(fixture), accept: true };
    await expect(client.request(runResume, again)).rejects.toMatchObject({ code: 'trainsElsewhere' });
    await client.request(runPause, { root: fixture.root, run: run.id });
    const paused = await untilRun(here, run.id, 'it is paused', ({ status }) => status === 'paused');
    expect(paused.lastCheckpoint!.step).toBe(paused.step);
    const resumed = await client.request(runResume, { ...again, engine: 'cluster' });
    expect(resumed.engine).toMatchObject({ phase: 'pending' });
    const on = await untilRun(
      here,
      run.id,
      'it trains there',
      ({ step, status }) => status === 'running' && step > paused.step,
    );
    await client.request(runPause, { root: fixture.root, run: run.id });
    await untilRun(here, run.id, 'it is paused again', ({ status }) => status === 'paused');
    expect(on.sessions).toBe(2);
    const back = await client.request(runResume, { ...again, engine: 'here' });
    expect(back.engine ?? null).toBeNull();
    const done = await untilRun(here, run.id, 'it has completed here', ({ status }) => status === 'completed');
    expect(done.step).toBe(STEPS);
    expect(await log(client, fixture, run.id)).toContain(`total ${TOTAL}`);
  }, 480_000);

  test('an array is one job with a run for each value', async () => {
    const here = await onSlurm();
    const { fixture, client } = here;
    const request = { root: fixture.root, job: 'train', params: {}, environment: environmentOf(fixture) };
    const runs = await client.request(runStartArray, { ...request, sets: [{ lr: 0.1 }, { lr: 0.2 }] });
    expect(runs.map(({ engine }) => engine!.job.replace(/^\d+/, 'N'))).toEqual(['N_0', 'N_1']);
    for (const [i, { id }] of runs.entries()) {
      await untilRun(here, id, `run ${i} has completed`, ({ status }) => status === 'completed');
      expect(await log(client, fixture, id)).toContain(`total ${TOTAL} lr ${[0.1, 0.2][i]}`);
    }
  }, 480_000);

  test('a job that is cancelled outside is said to be stopped by the cluster, with its last step', async () => {
    const here = await onSlurm();
    const run = await start(here);
    await untilRun(here, run.id, 'it trains', ({ step }) => step > 10);
    here.cluster.call('scancel', run.engine!.job);
    const ended = await untilRun(here, run.id, 'it is stopped', ({ status }) => status === 'stopped');
    expect(ended.reason).toContain('stopped by the cluster');
    expect(ended.lastCheckpoint!.step).toBe(ended.step);
  }, 120_000);

  test('a cluster that does not requeue says so, and the run is submitted again', async () => {
    const here = await onSlurm({}, { options: ['--no-requeue'] });
    const { fixture, client, cluster } = here;
    const run = await start(here);
    expect(run.notices.map(({ code }) => code)).toEqual(['notRequeued']);
    await untilRun(here, run.id, 'it trains', ({ step }) => step > 10);
    const urgent = cluster
      .call('sbatch', '--parsable', '-p', 'urgent', '-c2', '-o', '/dev/null', '--wrap', 'srun sleep 0.1')
      .trim();
    await until('the urgent job has run', () => cluster.job(urgent)?.JobState === 'COMPLETED', 60_000);
    const ended = await untilRun(here, run.id, 'it has completed', ({ status }) => status === 'completed');
    expect(ended).toMatchObject({ sessions: 2, step: STEPS });
    expect(ended.notices.map(({ code }) => code)).toContain('resubmitted');
    expect(await log(client, fixture, run.id)).toContain(`total ${TOTAL}`);
  }, 480_000);

  test('at its time limit it is requeued, and goes on', async () => {
    const here = await onSlurm({}, { options: ['--time=1'], grace: '55s' });
    const run = await start(here, { params: { slow: 20 } });
    const again = await untilRun(
      here,
      run.id,
      'it has a second life',
      ({ sessions, status }) => sessions === 2 && status === 'running',
    );
    expect(again.status).toBe('running');
    const { sessions, checkpoints } = await here.client.request(runShow, { root: here.fixture.root, run: run.id });
    const saved = checkpoints.filter(({ reasons }) => reasons.includes('signal'));
    expect(sessions[1]!.resumedFrom!.step).toBe(saved[0]!.step);
    await here.client.request(runStop, { root: here.fixture.root, run: run.id, force: true });
  }, 480_000);

  test('a daemon that starts anew follows it on', async () => {
    const here = await onSlurm();
    const run = await start(here);
    await untilRun(here, run.id, 'it trains', ({ step }) => step > 10);
    process.kill(here.fixture.daemonPid(), 'SIGKILL');
    const client = await openProject(here.fixture);
    const ended = await untilRun(
      { ...here, client },
      run.id,
      'it has completed',
      ({ status }) => status === 'completed',
    );
    expect(ended).toMatchObject({ step: STEPS, sessions: 1 });
  }, 480_000);

  test('a controller and a munge that are away leave it unknown, never lost', async () => {
    const here = await onSlurm();
    const { cluster } = here;
    const run = await start(here, { params: { slow: 5 } });
    await untilRun(here, run.id, 'it trains', ({ step }) => step > 10);
    for (const daemon of ['munged', 'slurmctld'] as const) {
      const pid = cluster.pidOf(daemon);
      process.kill(pid, 'SIGTERM');
      await until(`${daemon} has ended`, () => !existsSync(`/proc/${pid}`));
      const away = await untilRun(here, run.id, 'its state is unknown', ({ engine }) => engine?.unknownSince != null);
      expect(away.status).toBe('running');
      cluster.startDaemon(daemon);
      await untilRun(
        here,
        run.id,
        'its state is known',
        ({ engine, status }) => engine?.unknownSince === null || status === 'completed',
      );
    }
    await untilRun(here, run.id, 'it has completed', ({ status }) => status === 'completed');
  }, 480_000);

  test.skipIf(whyNoSsh() !== null)(
    'through ssh on a login node it goes on after a requeue',
    async () => {
      const server = await sshServer();
      const here = await onSlurm(
        {},
        { host: 'login', setup: [`export TRAINSTASH_NODE=${process.execPath}`] },
        server.variables,
      );
      const { fixture, client } = here;
      const run = await start(here);
      await untilRun(here, run.id, 'it trains', ({ step }) => step > 10);
      here.cluster.call('scontrol', 'requeue', run.engine!.job);
      const ended = await untilRun(here, run.id, 'it has completed', ({ status }) => status === 'completed');
      expect(ended).toMatchObject({ sessions: 2, step: STEPS });
      expect(await log(client, fixture, run.id)).toContain(`total ${TOTAL}`);
      const { checkpoints } = await show(client, fixture, run.id);
      expect(checkpoints.at(-1)!.step).toBe(STEPS);
    },
    480_000,
  );

  test('a job that cannot begin says what it printed', async () => {
    const here = await onSlurm({}, { setup: ['module load nowhere || { echo no such module; exit 3; }'] });
    const run = await start(here);
    const ended = await untilRun(here, run.id, 'it has failed', ({ status }) => status === 'failed');
    expect(ended.reason).toContain('no such module');
  }, 120_000);

  test('options that Slurm refuses are an error in its words, and leave no run', async () => {
    const here = await onSlurm({}, { options: ['--partition=nowhere'] });
    await expect(start(here)).rejects.toMatchObject({
      code: 'engineRefused',
      message: expect.stringContaining('partition'),
    });
    const { stdout } = await here.fixture.cli('ls', '--json', '--all', '--drafts');
    expect(JSON.parse(stdout)).toEqual([]);
  }, 120_000);
});
