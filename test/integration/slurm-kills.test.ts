/** A training whose node-run, script and slurmd are killed, one after the other: no step of a checkpoint is lost, and none trained twice at once. */
import { globSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runResume, runShow, runStart } from '../../protocol/messages/run.ts';
import { log } from '../support/commands.ts';
import { gitProject, kill, makeFixture, openProject, show } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { slurm, whyNoSlurm } from '../support/slurm.ts';

const KILLS = Number(process.env.TRAINSTASH_TEST_KILLS ?? 30);
const INTERVAL = 20;
const STEPS = 100_000;
/** Steps are slow until the test has killed enough; then the rest is skipped. */
const SCRIPT = `import os, sys, time, trainstash
run = trainstash.init(every="${INTERVAL} steps")
state = run.state(total=0)
print('begins at', run.steps, flush=True)
for x in run.batches(list(range(${STEPS}))):
    state.total += x
    assert state.total == x * (x + 1) // 2
    run.step(loss=1.0 / (1 + run.steps))
    if os.path.exists(sys.argv[1]):
        break
    time.sleep(0.05)
print('total', state.total, 'at', run.steps, flush=True)
`;
const WAIT_MS = 180_000;
const why = PYTHON ? whyNoSlurm() : 'there is no Python with torch';

describe.skipIf(why !== null || !process.env.TRAINSTASH_TEST_ENGINES)('a training on Slurm', () => {
  test(`survives ${KILLS} kills of node-run, its script and slurmd`, async () => {
    const cluster = await slurm({ nodes: 2, graceSeconds: 10 });
    const enough = join(cluster.folder, 'enough');
    const engines = { cluster: { type: 'slurm', folder: join(cluster.folder, 'shared'), grace: '10s', lives: 1_000 } };
    const jobs = { train: { run: [PYTHON, 'train.py', enough], args: 'none', engine: 'cluster', keep: { last: 3 } } };
    const fixture = makeFixture({ git: false, env: { ...cluster.variables }, config: { engines, jobs } });
    writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
    gitProject(fixture.root);
    fixture.store = join(fixture.root, '.git/trainstash');
    const client = await openProject(fixture);
    const environment = Object.fromEntries(
      Object.entries(fixture.env).flatMap(([name, value]) => (value ? [[name, value]] : [])),
    );
    const { id } = await client.request(runStart, { root: fixture.root, job: 'train', params: {}, environment });
    const now = async () => (await show(client, fixture, id)).run;
    const again = async () => {
      const { status } = await now();
      if (status === 'lost' || status === 'failed' || status === 'paused')
        await client.request(runResume, { root: fixture.root, run: id, environment, accept: true, engine: 'cluster' });
    };
    /** Number of lives until each kill, its kind, and the newest whole checkpoint that lay in the cluster's folder then. */
    const killings: { sessions: number; saved: number; kill: string }[] = [];
    let from = 0;
    for (let i = 0; i < KILLS; i++) {
      const { step, sessions, engine } = await until(
        `it trains before kill ${i + 1}`,
        async () => {
          await again();
          const run = await now();
          return run.status === 'running' && run.sessions > i && run.step > from - INTERVAL + 5 && run;
        },
        WAIT_MS,
      ).catch(async (error: Error) => {
        const { status, reason, step, notices, engine: at } = await now();
        const { sessions } = await client.request(runShow, { root: fixture.root, run: id });
        const seen = { status, reason, step, at, notices: notices.slice(-3), trainings: trainings(enough), killings };
        const log = readFileSync(join(fixture.folder, 'state/daemon.log'), 'utf8').slice(-4_000);
        throw new Error(`${error.message}: ${JSON.stringify({ ...seen, sessions: sessions.slice(-4) })}\n${log}`);
      });
      expect(trainings(enough), 'it is trained once').toHaveLength(1);
      from = step;
      killings.push({
        sessions,
        saved: newestSaved(cluster.folder),
        kill: ['node-run', 'its script', 'slurmd'][i % 3]!,
      });
      if (i % 3 === 0) kill(nodeRuns(cluster.folder)[0]!, 'SIGKILL');
      if (i % 3 === 1) kill(trainings(enough)[0]!, 'SIGKILL');
      if (i % 3 === 2) {
        const node = cluster.job(engine!.job)!.NodeList;
        kill(cluster.pidOf(`slurmd-${node}`), 'SIGKILL');
        await until('it trains elsewhere', async () => (await now()).sessions > sessions, WAIT_MS);
        cluster.startDaemon(`slurmd-${node}`);
      }
      await until(
        'that life is over',
        async () => (await now()).sessions > sessions || (await now()).status !== 'running',
        WAIT_MS,
      );
    }
    await until(
      'it trains at last',
      async () => {
        await again();
        return (await now()).status === 'running';
      },
      WAIT_MS,
    );
    writeFileSync(enough, '');
    const done = await until(
      'it has completed',
      async () => (await now()).status === 'completed' && (await now()),
      WAIT_MS,
    );
    const printed = await log(client, fixture, id);
    expect(printed).toContain(`total ${(done.step * (done.step - 1)) / 2} at ${done.step}`);
    const { sessions } = await client.request(runShow, { root: fixture.root, run: id });
    for (const killed of killings) {
      const said = `${JSON.stringify(killed)} ${JSON.stringify(sessions)}`;
      expect(sessions[killed.sessions]!.resumedFrom?.step ?? 0, said).toBeGreaterThanOrEqual(killed.saved);
    }
  }, 3_600_000);
});

/** Returns the step of the newest checkpoint in the folder of a cluster; each has its name only once it is whole. */
function newestSaved(folder: string): number {
  const paths = globSync('shared/runs/*/*/sessions/*/inbox/*/checkpoint.json', { cwd: folder });
  return Math.max(0, ...paths.flatMap((path) => stepIn(join(folder, path))));
}

function stepIn(path: string): number[] {
  try {
    return [JSON.parse(readFileSync(path, 'utf8')).step];
  } catch {
    // It was removed for newer ones.
    return [];
  }
}

/** Finds processes by words of their command. */
function processes(is: (words: string[]) => boolean): number[] {
  return readdirSync('/proc').flatMap((pid) => {
    try {
      return /^\d+$/.test(pid) && is(readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')) ? [Number(pid)] : [];
    } catch {
      return [];
    }
  });
}

function trainings(enough: string): number[] {
  return processes((words) => words[1] === 'train.py' && words[2] === enough);
}

function nodeRuns(folder: string): number[] {
  return processes((words) => (words[1] ?? '').startsWith(folder) && words[1]!.endsWith('node-run.mjs'));
}
