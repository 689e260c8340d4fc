/** Trainings in a real Slurm job: they never leave it, and go on from their last step when it is started again. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { afterwards } from '../support/cleanup.ts';
import { type Fixture, makeFixture, openProject } from '../support/daemon.ts';
import { until } from '../support/folder.ts';
import { PYTHON } from '../support/python.ts';
import { FULL } from '../support/sample.ts';
import { type Slurm, slurm, whyNoSlurm } from '../support/slurm.ts';
import { DIST } from '../support/trainer.ts';

const SCRIPT = `import time, trainstash
run = trainstash.init(every="100000 steps")
state = run.state(total=0)
for x in run.batches(list(range(100_000))):
    state.total += x
    assert state.total == x * (x + 1) // 2
    run.step(loss=1.0)
    time.sleep(0.01)
`;
const why = PYTHON ? whyNoSlurm() : 'there is no Python with torch';

describe.skipIf(why !== null)('a training in a Slurm job', () => {
  // Each of them waits for Slurm's own ten seconds of a requeue: one is enough for every run of the tests.
  for (const [kind, words] of [
    ['`trainstash run` inside', [process.execPath, join(DIST, 'trainstash.js'), 'run', '--', PYTHON!, 'train.py']],
    ['a script with three lines', [PYTHON!, 'train.py']],
  ].slice(0, FULL ? 2 : 1) as [string, string[]][])
    test(`${kind} goes on in the same run after a requeue, and ends with the job, beside a daemon of the same user`, async () => {
      const cluster = await slurm({ graceSeconds: 20 });
      const fixture = makeFixture({ env: { ...cluster.variables, PYTHONPATH: join(DIST, 'python') } });
      writeFileSync(join(fixture.root, 'train.py'), SCRIPT);
      await openProject(fixture);
      const job = submit(cluster, fixture, words);
      await until('it trains', () => stepOf(fixture, 1) > 30);
      cluster.call('scontrol', 'requeue', job);
      await until('it trains again', () => stepOf(fixture, 2) > 0);
      const [first, second] = lives(fixture);
      expect(first!.exit).toMatchObject({ outcome: 'paused', reason: 'after SIGTERM' });
      expect(second!.first).toBe(first!.exit!.step + 1);
      expect(second!.launch.allocation).toMatchObject({ kind: 'slurm', job, restart: 1, node: 'n1' });
      expect(second!.launch.command.dir).toBe(first!.launch.command.dir);
      expect(trainings(fixture)).toBe(1);
      cluster.call('scancel', job);
      await until('nothing of it lives', () => trainings(fixture) === 0);
      const runs = await until('its end is known', async () => {
        const { stdout } = await fixture.cli('ls', '--json', '--all', '--drafts');
        const all: { status: string; sessions: number }[] = JSON.parse(stdout);
        // The second life may have ended before the daemon has seen it at all.
        return all.some(({ sessions }) => sessions > 1) && all.every(({ status }) => status !== 'running') && all;
      });
      expect(runs).toHaveLength(1);
      expect(runs[0]).toMatchObject({ sessions: 2, status: 'paused' });
    });
});

interface SeenLife {
  launch: { createdAt: number; allocation: unknown; command: { dir: string } };
  exit: { outcome: string; reason: string; step: number } | null;
  /** First and last step that it has told. */
  first: number;
  last: number;
}

function lives({ store }: Fixture): SeenLife[] {
  const sessions = join(store, 'sessions');
  if (!existsSync(sessions)) return [];
  return readdirSync(sessions)
    .filter((id) => existsSync(join(sessions, id, 'launch.json')))
    .map((id) => {
      const read = (name: string) => {
        const path = join(sessions, id, name);
        return existsSync(path) ? readFileSync(path, 'utf8') : '';
      };
      const steps = [...read('events.ndjson').matchAll(/"type":"metrics","step":(\d+)/g)].map(([, step]) =>
        Number(step),
      );
      const exit = read('exit.json');
      return {
        launch: JSON.parse(read('launch.json')),
        exit: exit ? JSON.parse(exit) : null,
        first: steps[0] ?? 0,
        last: steps.at(-1) ?? 0,
      };
    })
    .sort((a, b) => a.launch.createdAt - b.launch.createdAt);
}

function stepOf(fixture: Fixture, life: number): number {
  return lives(fixture)[life - 1]?.last ?? 0;
}

function submit(cluster: Slurm, { root, env }: Fixture, words: readonly string[]): string {
  const quoted = words.map((word) => `'${word}'`).join(' ');
  writeFileSync(join(root, '..', 'job.sh'), `#!/bin/bash\nunset TRAINSTASH_ALLOCATION\nexec srun ${quoted}\n`);
  const args = ['--parsable', '--requeue', '--open-mode=append', '-n1', '-o', '../job.log', '../job.sh'];
  const { stdout, stderr } = spawnSync('sbatch', args, { cwd: root, env, encoding: 'utf8' });
  const id = stdout.trim();
  if (!id) throw new Error(stderr);
  afterwards(() => void spawnSync('scancel', [id], { env: { ...env, ...cluster.variables } }));
  return id;
}

/** Counts the processes that train in the fixture's folder. */
function trainings({ root }: Fixture): number {
  return readdirSync('/proc').filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
      return words[1] === 'train.py' && readlinkSync(`/proc/${pid}/cwd`) === root;
    } catch {
      return false;
    }
  }).length;
}
