/** Jobs in containers of a real Podman: they pause and resume as outside, and no training outlives its run. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runPause, runResume, runStart } from '../../protocol/messages/run.ts';
import { log } from '../support/commands.ts';
import {
  type Fixture,
  gitProject,
  kill,
  makeFixture,
  openProject,
  sessionDirectory,
  show,
  untilStatus,
} from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { IMAGE, INSIDE_FILE, type Podman, podman, whyNoPodman } from '../support/podman.ts';
import { slurm, whyNoSlurm } from '../support/slurm.ts';

const STEPS = 300;
const SCRIPT = `import os, time, trainstash
run = trainstash.init(params={'lr': 1.0}, every="20 steps")
state = run.state(total=0)
print('inside', os.path.exists('${INSIDE_FILE}'), 'begins at', run.steps, flush=True)
for x in run.batches(list(range(${STEPS}))):
    state.total += x
    run.step(loss=1.0 / (1 + run.steps))
    # Until it was ended once.
    time.sleep(0.05 if os.path.exists('slow') else 0)
open('written', 'w').write(str(state.total))
print('total', state.total, 'of', os.environ.get('WANDB_MODE'), os.environ.get('ELSEWHERE'), flush=True)
`;
const TOTAL = (STEPS * (STEPS - 1)) / 2;
const why = process.env.TRAINSTASH_TEST_ENGINES ? whyNoPodman() : 'they belong to `npm run test:engines`';

function project(container: Podman, more: object = {}, variables = {}): Fixture {
  const jobs = {
    train: {
      run: ['python3.11', 'train.py'],
      args: 'none',
      keep: { last: 5 },
      container: { image: IMAGE, program: 'podman' },
    },
  };
  const env = { ...container.variables, WANDB_MODE: 'offline', ELSEWHERE: 'no', ...variables };
  const fixture = makeFixture({ git: false, env, config: { jobs, ...more } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  writeFileSync(join(fixture.root, 'slow'), '');
  gitProject(fixture.root);
  fixture.store = join(fixture.root, '.git/trainstash');
  return fixture;
}

function environmentOf({ env }: Fixture): Record<string, string> {
  return Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}

describe.skipIf(why !== null)('a job in a container', () => {
  test('pauses, resumes, and goes on after its program was killed, which takes the training with it', async () => {
    const container = podman();
    const fixture = project(container);
    const client = await openProject(fixture);
    const environment = environmentOf(fixture);
    const run = await client.request(runStart, { root: fixture.root, job: 'train', params: {}, environment });
    await until('it trains', async () => (await show(client, fixture, run.id)).run.step > 25);
    expect(container.containers()).toHaveLength(1);
    await client.request(runPause, { root: fixture.root, run: run.id });
    const paused = await untilStatus(client, fixture, run.id, 'paused');
    expect(paused.lastCheckpoint!.step).toBe(paused.step);
    expect(container.containers()).toEqual([]);
    const again = { root: fixture.root, run: run.id, environment, accept: true };
    const resumed = await client.request(runResume, again);
    await until('it trains again', async () => (await show(client, fixture, run.id)).run.step > paused.step + 25);
    const { child } = sessionDirectory(fixture, resumed).process()!;
    kill(child!.pid, 'SIGKILL');
    await untilStatus(client, fixture, run.id, 'lost', 'failed');
    await until('its container is gone', () => container.containers().length === 0);
    // Checkpoints come every twenty steps.
    const last = (await show(client, fixture, run.id)).run.lastCheckpoint!.step;
    expect(last).toBeGreaterThanOrEqual(paused.step);
    await client.request(runResume, again);
    const done = await untilStatus(client, fixture, run.id, 'completed');
    expect(done.step).toBe(STEPS);
    expect(readFileSync(join(fixture.root, 'written'), 'utf8')).toBe(String(TOTAL));
    const printed = await log(client, fixture, run.id);
    expect(printed).toContain('inside True begins at');
    expect(printed).toContain(`total ${TOTAL} of offline None`);
  }, 240_000);

  test.skipIf(whyNoSlurm() !== null)(
    'on a node of Slurm goes on after a requeue with its last step',
    async () => {
      const container = podman();
      const cluster = await slurm({ graceSeconds: 20 });
      const folder = join(cluster.folder, 'shared');
      const engines = { cluster: { type: 'slurm', folder, grace: '20s' } };
      const fixture = project(container, { engines }, cluster.variables);
      const client = await openProject(fixture);
      const environment = environmentOf(fixture);
      const wanted = { root: fixture.root, job: 'train', params: {}, environment, engine: 'cluster' };
      const run = await client.request(runStart, wanted);
      await until('it trains', async () => (await show(client, fixture, run.id)).run.step > 25, 60_000);
      cluster.call('scontrol', 'requeue', run.engine!.job);
      const done = await untilStatus(client, fixture, run.id, 'completed');
      expect(done).toMatchObject({ sessions: 2, step: STEPS });
      expect(await log(client, fixture, run.id)).toContain(`total ${TOTAL}`);
      expect(existsSync(join(fixture.root, 'written'))).toBe(false);
      expect(container.containers()).toEqual([]);
    },
    240_000,
  );
});
