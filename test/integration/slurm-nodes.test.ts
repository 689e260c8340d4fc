/** Trainings of several processes on nodes of a real Slurm: started again, they end with the bits of one that nothing interrupted. */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runShow } from '../../protocol/messages/run.ts';
import { gitProject, makeFixture, openProject, show } from '../support/daemon.ts';
import { temporaryFolder, until } from '../support/folder.ts';
import { slurm, whyNoSlurm } from '../support/slurm.ts';
import { DIST } from '../support/trainer.ts';
import { trainerText } from '../support/trainer-text.ts';

const PYTHON = process.env.TRAINSTASH_TEST_TORCH ?? '';
const FULL = Boolean(process.env.TRAINSTASH_TEST_ENGINES);
const why = PYTHON ? whyNoSlurm() : 'there is no Python with torch';
/** Step from which the first life is too slow to reach its end. */
const SLOW_FROM = 20;
const SCRIPT = trainerText('on_nodes.py');

/** Lines by which each rank says what it ended with. */
function finals(printed: string): string[] {
  return [...printed.matchAll(/^FINAL .*$/gm)].map(([line]) => line.trim()).sort();
}

/** Trains to the end, with as many processes, outside of any cluster. */
function undisturbed(processes: number, workers: number): string[] {
  const folder = temporaryFolder();
  writeFileSync(join(folder, 'train.py'), SCRIPT);
  const launcher = ['-m', 'torch.distributed.run', '--standalone', `--nproc_per_node=${processes}`];
  const { stdout, stderr } = spawnSync(PYTHON, [...launcher, 'train.py', String(workers)], {
    cwd: folder,
    env: { ...process.env, PYTHONPATH: join(DIST, 'python'), TRAINSTASH_STATE: join(folder, 'state') },
    encoding: 'utf8',
  });
  const lines = finals(stdout);
  if (lines.length !== processes) throw new Error(stderr);
  return lines;
}

describe.skipIf(why !== null || !FULL)('a training with torchrun on nodes of Slurm', () => {
  for (const nodes of [2, 1])
    for (const workers of [0, 2])
      test(`goes on after a requeue with the bits of an undisturbed one: ${nodes} nodes, ${workers} workers`, async () => {
        const cluster = await slurm({ nodes, graceSeconds: 30 });
        const engines = {
          cluster: { type: 'slurm', folder: join(cluster.folder, 'shared'), grace: '30s', launcher: 'torchrun' },
        };
        const jobs = { train: { run: [PYTHON, 'train.py', String(workers)], args: 'none', keep: { last: 5 } } };
        const fixture = makeFixture({ git: false, env: { ...cluster.variables }, config: { engines, jobs } });
        writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
        gitProject(fixture.root);
        fixture.store = join(fixture.root, '.git/trainstash');
        const client = await openProject(fixture);
        const ran = await fixture.cli('run', 'train', '--on', 'cluster', '--nodes', String(nodes), '--json');
        expect(ran.stderr).toBe('');
        const { id, engine } = JSON.parse(ran.stdout.split('\n')[0]!);
        await until('it trains', async () => (await show(client, fixture, id)).run.step > SLOW_FROM, 120_000);
        cluster.call('scontrol', 'requeue', engine.job);
        const printed = () => readFileSync(join(cluster.folder, 'shared/runs', id, '1/job.log'), 'utf8');
        const over = await until(
          'it is over',
          async () => {
            const { run } = await show(client, fixture, id);
            return ['completed', 'failed', 'lost', 'stopped'].includes(run.status) && run;
          },
          300_000,
        ).catch((error) => {
          // The run's own log is that of the first node.
          throw new Error(`${error.message}\n${printed()}`);
        });
        expect(over, printed()).toMatchObject({ status: 'completed', sessions: 2 });
        const { sessions, checkpoints } = await client.request(runShow, { root: fixture.root, run: id });
        const saved = checkpoints.find(({ reasons }) => reasons.includes('signal'));
        expect(sessions.at(-1)!.resumedFrom?.step, printed()).toBe(saved?.step);
        expect(finals(printed()), printed()).toEqual(undisturbed(nodes, workers));
      }, 600_000);
});
