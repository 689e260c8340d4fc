/** Sweeps whose runs train on a real Slurm. */
import { dirname } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runList } from '../../protocol/messages/run.ts';
import { sweepChange, sweepList, sweepStart } from '../../protocol/messages/sweep.ts';
import { log } from '../support/commands.ts';
import { kill, openProject } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { environmentOf, type OnSlurm, onSlurm, STEPS, TOTAL, whyNoTraining } from '../support/on-slurm.ts';
import { shownSweep, untilSweep } from '../support/sweep-rounds.ts';

const why = whyNoTraining();
const FULL = Boolean(process.env.TRAINSTASH_TEST_ENGINES);
const OPTUNA = process.env.TRAINSTASH_TEST_OPTUNA;

type Start = Partial<NonNullable<typeof sweepStart.params>>;
const begin = ({ client, fixture }: OnSlurm, request: Start) =>
  client.request(sweepStart, { root: fixture.root, job: 'train', environment: environmentOf(fixture), ...request });
const rates = (...values: number[]) => ({ lr: { choice: values } });

describe.skipIf(why !== null)('a sweep on Slurm', () => {
  test('is one array, and all its runs complete', async () => {
    const here = await onSlurm();
    const { client, fixture } = here;
    await begin(here, { set: rates(0.1, 0.2, 0.3), params: { slow: 0.01 } });
    const { runs } = await shownSweep(client, fixture);
    expect(runs.map(({ engine }) => engine!.job.replace(/^\d+/, 'N'))).toEqual(['N_0', 'N_1', 'N_2']);
    const sweep = await untilSweep(client, fixture, 'finished');
    expect(sweep).toMatchObject({ completed: 3, failed: 0, other: 0 });
    for (const [i, { id }] of runs.entries())
      expect(await log(client, fixture, id)).toContain(`total ${TOTAL} lr ${[0.1, 0.2, 0.3][i]}`);
  }, 240_000);
});

describe.skipIf(why !== null || !FULL)('a sweep on Slurm, the long cases', () => {
  test('whose daemon dies goes on with the next one, and trains each value once', async () => {
    const here = await onSlurm();
    const { fixture } = here;
    await begin(here, { set: rates(0.1, 0.2, 0.3, 0.4), params: { slow: 0.2 }, parallel: 2 });
    let { client } = here;
    for (const done of [0, 2]) {
      await until(
        `${done} have completed and another one trains`,
        async () => {
          const { sweep, runs } = await shownSweep(client, fixture);
          return sweep.completed >= done && runs.some(({ status, step }) => status === 'running' && step > 5);
        },
        240_000,
      );
      kill(client.daemon.pid, 'SIGKILL');
      await client.closed;
      client = await openProject(fixture);
    }
    const sweep = await untilSweep(client, fixture, 'finished');
    expect(sweep).toMatchObject({ completed: 4, failed: 0, other: 0 });
    const { runs } = await client.request(runList, { root: fixture.root, drafts: true });
    expect(runs.map(({ params }) => params.lr).sort()).toEqual([0.1, 0.2, 0.3, 0.4]);
    expect(runs.map(({ step }) => step)).toEqual([STEPS, STEPS, STEPS, STEPS]);
    // The second pair was sent by a daemon that does not know the environment of the shell.
    const sent = runs.filter(({ notices }) => notices.some(({ code }) => code === 'daemonEnvironment'));
    expect(sent).toHaveLength(2);
  }, 600_000);

  test('that is paused ends its runs with checkpoints, and a resume sends them again from there', async () => {
    const here = await onSlurm();
    const { client, fixture } = here;
    const { root } = fixture;
    await begin(here, { set: rates(0.1, 0.2, 0.3) });
    await until(
      'one trains',
      async () => (await shownSweep(client, fixture)).runs.some(({ step }) => step > 20),
      120_000,
    );
    await client.request(sweepChange, { root, to: 'pause' });
    await until(
      'nothing is live',
      async () => {
        const { sweep } = await shownSweep(client, fixture);
        return sweep.live + sweep.queued === 0;
      },
      120_000,
    );
    const held = (await shownSweep(client, fixture)).runs;
    expect(held.map(({ status }) => status)).toEqual(['paused', 'paused', 'paused']);
    expect(here.cluster.call('squeue', '--noheader').trim()).toBe('');
    await client.request(sweepChange, { root, to: 'resume', environment: environmentOf(fixture) });
    const sweep = await untilSweep(client, fixture, 'finished');
    expect(sweep).toMatchObject({ completed: 3, other: 0 });
    for (const { id } of held) expect(await log(client, fixture, id)).toContain(`total ${TOTAL}`);
    const resumed = (await shownSweep(client, fixture)).runs.filter(({ sessions }) => sessions > 1);
    expect(resumed.length).toBeGreaterThan(0);
  }, 600_000);

  test('that Slurm refuses is an error of the request, and leaves nothing', async () => {
    const here = await onSlurm({}, { options: ['--partition=nowhere'] });
    const { client, fixture } = here;
    await expect(begin(here, { set: rates(0.1, 0.2) })).rejects.toMatchObject({ code: 'engineRefused' });
    await expect(begin(here, { set: rates(0.1, 0.2), engine: 'clustr' })).rejects.toMatchObject({ code: 'notFound' });
    await expect(begin(here, { set: rates(0.1, 0.2), priority: 3 })).rejects.toMatchObject({ code: 'engineUnusable' });
    expect((await client.request(sweepList, { root: fixture.root })).sweeps).toEqual([]);
    expect((await client.request(runList, { root: fixture.root, drafts: true })).runs).toEqual([]);
  }, 120_000);

  test.skipIf(OPTUNA === undefined)(
    'with Optuna ends bad runs early, at a checkpoint, and the others complete',
    async () => {
      const here = await onSlurm();
      const { client, fixture } = here;
      const environment = { ...environmentOf(fixture) };
      environment.PATH = `${dirname(OPTUNA!)}:${environment.PATH}`;
      await begin(here, {
        ...{ environment, sampler: 'optuna', samples: 6, metric: 'loss', pruner: 'asha', minSteps: 100, parallel: 2 },
        set: { lr: { choice: [0.1, 0.2, 0.3] }, slow: { choice: [0.2, 0.3] } },
      });
      const sweep = await untilSweep(client, fixture, 'finished');
      expect(sweep.completed + sweep.pruned).toBe(6);
      expect(sweep.failed + sweep.other).toBe(0);
      const { runs } = await shownSweep(client, fixture);
      for (const { status, step, lastCheckpoint } of runs)
        if (status === 'completed') expect(step).toBe(STEPS);
        else expect(lastCheckpoint!.step).toBe(step);
    },
    600_000,
  );
});
