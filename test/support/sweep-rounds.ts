/**
 * A sweep with pruning whose daemon is killed. Afterwards each trial must have been made once, no step trained twice, and a run that
 * was ended early and went on must have the bits of one that nobody disturbed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import type { Client } from '../../client/connect.ts';
import type { Run } from '../../protocol/domain.ts';
import { runStart } from '../../protocol/messages/run.ts';
import { sweepShow, sweepStart } from '../../protocol/messages/sweep.ts';
import type { SweepSummary } from '../../protocol/sweep.ts';
import { type Fixture, kill, makeFixture, openProject, SMALL_JOB, shellEnvironment, show } from './daemon.ts';
import { until } from './folder.ts';

const PATIENCE_MS = 600_000;
/** Steps of a complete run of the small training: four epochs of six. */
const STEPS = 24;

export const SWEEP = {
  params: { learningRate: { logUniform: [1e-4, 1] }, units: { int: [4, 16] } },
  sampler: 'optuna',
  metric: 'loss',
  seed: 5,
  pruner: { kind: 'asha', minSteps: 4, reduction: 2 },
};

/** Makes a project whose job is swept with the Optuna of this Python. */
export function sweepFixture(sweep: object = SWEEP, job: object = {}): Fixture {
  return makeFixture({ config: { jobs: { small: { ...SMALL_JOB, backend: 'cpu', sweep, ...job } } } });
}

export function optunaEnvironment(python: string): Record<string, string> {
  const shell = shellEnvironment();
  return { ...shell, PATH: `${dirname(python)}${delimiter}${shell.PATH}` };
}

export function shownSweep(client: Client, { root }: Fixture): Promise<{ sweep: SweepSummary; runs: Run[] }> {
  return client.request(sweepShow, { root });
}

/** Waits until a sweep is in a state. */
export function untilSweep(
  client: Client,
  fixture: Fixture,
  ...states: SweepSummary['state'][]
): Promise<SweepSummary> {
  return until(
    `the sweep is ${states.join(' or ')}`,
    async () => {
      const { sweep } = await shownSweep(client, fixture);
      if (sweep.state !== 'running' && !states.includes(sweep.state))
        throw new Error(`${sweep.state}: ${sweep.reason}`);
      return states.includes(sweep.state) && sweep;
    },
    PATIENCE_MS,
  );
}

/** Runs a sweep whose daemon is killed each time another `every` runs have begun. Returns what was wrong. */
export async function killedSweep(python: string, samples: number, kills: number): Promise<string[]> {
  const fixture = sweepFixture();
  const environment = optunaEnvironment(python);
  let client = await openProject(fixture);
  await client.request(sweepStart, {
    ...{ root: fixture.root, job: 'small', samples, environment },
    // Slow enough to be ended before they have completed.
    params: { slow: 200, epochs: 4 },
  });
  for (let round = 1; round <= kills; round++) {
    const least = Math.floor((samples * round) / (kills + 1));
    await until(
      `${least} runs have begun`,
      async () => (await shownSweep(client, fixture)).runs.filter(({ sessions }) => sessions > 0).length >= least,
      PATIENCE_MS,
    );
    kill(client.daemon.pid, 'SIGKILL');
    await client.closed;
    client = await openProject(fixture);
  }
  const sweep = await untilSweep(client, fixture, 'finished', 'paused');
  const { runs } = await shownSweep(client, fixture);
  if (process.env.TRAINSTASH_TEST_SHOW)
    console.log(
      runs.map(({ step, status, sessions, sweep: of }) => [of?.trial, step, status, sessions, of?.mark].join(' ')),
    );
  const problems: string[] = [];
  if (sweep.state !== 'finished') problems.push(`the sweep is ${sweep.state}: ${sweep.reason}`);
  const trials = runs.map((run) => run.sweep?.trial).sort((a, b) => (a ?? 0) - (b ?? 0));
  if (trials.join() !== Array.from({ length: samples }, (_, i) => i).join()) problems.push(`trials ${trials.join()}`);
  for (const run of runs) {
    const twice = stepsTrainedTwice(fixture, (await sessionsOf(client, fixture, run)) ?? []);
    if (twice.length > 0) problems.push(`${run.name} trained steps ${twice.join(', ')} twice`);
    if (!['completed', 'paused'].includes(run.status)) problems.push(`${run.name} is ${run.status}: ${run.reason}`);
  }
  problems.push(...(await unequalSurvivors(client, fixture, runs)));
  return problems;
}

async function sessionsOf(client: Client, fixture: Fixture, run: Run): Promise<string[]> {
  const shown = (await show(client, fixture, run.id)) as unknown as { sessions: { id: string }[] };
  return shown.sessions.map(({ id }) => id);
}

/** Lists steps that more than one session of a run has reported. */
function stepsTrainedTwice({ store }: Fixture, sessions: readonly string[]): number[] {
  const seen = new Set<number>();
  const twice: number[] = [];
  for (const id of sessions) {
    const file = join(store, 'sessions', id, 'events.ndjson');
    if (!existsSync(file)) continue;
    const lines = readFileSync(file, 'utf8').split('\n').filter(Boolean);
    const events = lines.map((line) => JSON.parse(line) as { type: string; step: number; values?: object });
    const steps = new Set(events.filter(({ values }) => values && 'loss' in values).map(({ step }) => step));
    for (const step of steps) {
      if (seen.has(step)) twice.push(step);
      seen.add(step);
    }
  }
  return twice;
}

/** Trains one that went on once more, undisturbed, and compares the bits. */
async function unequalSurvivors(client: Client, fixture: Fixture, runs: readonly Run[]): Promise<string[]> {
  const survivor = runs.find(({ status, sessions }) => status === 'completed' && sessions > 1);
  if (!survivor) return ['no run was ended early, went on and completed'];
  const again = await client.request(runStart, {
    root: fixture.root,
    job: 'small',
    params: survivor.params,
    seed: survivor.seed,
    environment: shellEnvironment(),
  });
  await until(
    'it is over',
    async () => (await show(client, fixture, again.id)).run.status === 'completed',
    PATIENCE_MS,
  );
  const digests = await Promise.all(
    [survivor, again].map(async ({ id }) => {
      const { checkpoints } = await show(client, fixture, id);
      return checkpoints.find(({ step }) => step === STEPS)?.stateDigest;
    }),
  );
  return digests[0] !== undefined && digests[0] === digests[1]
    ? []
    : [`${survivor.name} has other bits: ${digests.join(', ')}`];
}
