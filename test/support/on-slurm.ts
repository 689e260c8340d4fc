/** A project with a job that trains on a Slurm of the test's own. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { type Fixture, gitProject, makeFixture, openProject, show } from './daemon.ts';
import { until } from './folder.ts';
import { PYTHON } from './python.ts';
import { type Slurm, type SlurmOptions, slurm, whyNoSlurm } from './slurm.ts';

/** Says why no training on Slurm can be tested here; null: it can. */
export const whyNoTraining = () => (PYTHON ? whyNoSlurm() : 'there is no Python with torch');

export const STEPS = 400;
const SCRIPT = `import sys, time, trainstash
run = trainstash.init(params={'lr': 1.0, 'slow': 1}, every="100000 steps")
state = run.state(total=0)
print('begins at', run.steps, flush=True)
for x in run.batches(list(range(${STEPS}))):
    state.total += x
    run.step(loss=1.0 / (1 + run.steps))
    time.sleep(0.02 * float(run.params['slow']))
print('total', state.total, 'lr', run.params['lr'], flush=True)
`;
export const TOTAL = (STEPS * (STEPS - 1)) / 2;

export interface OnSlurm {
  cluster: Slurm;
  fixture: Fixture;
  client: Client;
}

/** Starts a cluster, and a project whose job `train` goes there. */
export async function onSlurm(options: SlurmOptions = {}, settings: object = {}, variables = {}): Promise<OnSlurm> {
  const cluster = await slurm({ graceSeconds: 20, ...options });
  const engines = { cluster: { type: 'slurm', folder: join(cluster.folder, 'shared'), grace: '20s', ...settings } };
  const jobs = { train: { run: [PYTHON, 'train.py'], args: 'none', engine: 'cluster' } };
  const fixture = makeFixture({ git: false, env: { ...cluster.variables, ...variables }, config: { engines, jobs } });
  writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
  gitProject(fixture.root);
  fixture.store = join(fixture.root, '.git/trainstash');
  return { cluster, fixture, client: await openProject(fixture) };
}

export function start({ fixture, client }: OnSlurm, options: object = {}) {
  const environment = environmentOf(fixture);
  return client.request(runStart, { root: fixture.root, job: 'train', params: {}, environment, ...options });
}

/** Waits for a state of a run. */
export function untilRun(
  { fixture, client }: OnSlurm,
  id: string,
  what: string,
  is: (run: Awaited<ReturnType<typeof show>>['run']) => boolean,
) {
  return until(
    what,
    async () => {
      const { run } = await show(client, fixture, id);
      return is(run) && run;
    },
    // Slurm signals up to a minute early, and an engine that was away is asked again at longer and longer intervals.
    150_000,
  );
}

export function environmentOf({ env }: Fixture): Record<string, string> {
  return Object.fromEntries(Object.entries(env).flatMap(([name, value]) => (value ? [[name, value]] : [])));
}
