/**
 * Measures the daemon while it watches many runs of a Slurm that is only simulated: programs that answer for jobs which all run, and the
 * files that their nodes would write.
 */
import { spawnSync } from 'node:child_process';
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../client/connect.ts';
import { SQUEUE_WORDS } from '../daemon/engines/slurm/states.ts';
import { daemonStatus, daemonStop } from '../protocol/messages/daemon.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import { runList, runStartArray } from '../protocol/messages/run.ts';
import type { Build } from '../protocol/version.ts';
import { beginLife, readTask } from '../runner/node/lives.ts';
import { Reporter } from '../session/reporter.ts';
import { until } from '../test/support/folder.ts';
import type { Result } from './measure.ts';

const MEASURED_MS = 60_000;
/** Interval at which each run reports and prints. */
const REPORT_MS = 5_000;
const TICKS_PER_SECOND = 100;
const START_MS = 600_000;

/** Returns the daemon's share of one core in percent, and how often it asked for the jobs. */
export async function watchedJobs(work: string, dist: string, count: number, goal: Result['goal']): Promise<Result[]> {
  const home = join(work, `watched-${count}`);
  const [project, bin, shared] = ['project', 'bin', 'shared'].map((name) => join(home, name)) as [
    string,
    string,
    string,
  ];
  for (const folder of [project, bin, shared]) mkdirSync(folder, { recursive: true });
  simulate(bin, home, count);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  const engines = { cluster: { type: 'slurm', folder: shared } };
  writeFileSync(
    join(project, 'trainstash.json'),
    JSON.stringify({ engines, jobs: { train: { run: 'sh train.sh', engine: 'cluster' } } }),
  );
  for (const words of [
    ['add', '-A'],
    ['-c', 'user.name=b', '-c', 'user.email=b@b', 'commit', '-qm', 'first'],
  ])
    spawnSync('git', words, { cwd: project });
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, TRAINSTASH_STATE: join(home, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const client = await connect({ name: 'bench', build, dist, env });
  try {
    await client.request(projectOpen, { root: project, trusted: true });
    await client.request(runStartArray, {
      root: project,
      job: 'train',
      params: {},
      environment: { PATH: env.PATH },
      sets: Array.from({ length: count }, (_, i) => ({ seed: i })),
    });
    const reporters = begin(shared);
    const { pid } = await client.request(daemonStatus, {});
    await until(
      'all of them are followed',
      async () => {
        // Asking is work as well.
        await delay(1_000);
        const { runs } = await client.request(runList, { root: project, drafts: true, limit: count });
        return runs.filter(({ status }) => status === 'running').length === count;
      },
      START_MS,
    );
    const [ticks, asked, began] = [ticksOf(pid), callsIn(home), Date.now()];
    for (let step = 1; Date.now() - began < MEASURED_MS; step++) {
      const until = Date.now() + REPORT_MS;
      for (const [i, { reporter, output }] of reporters.entries()) {
        reporter.report({ type: 'metrics', step, epoch: 0, values: { loss: 1 / step } });
        reporter.flush();
        appendFileSync(output, `step ${step}\n`);
        // Spread over the interval, as nodes are.
        if (i % 10 === 9) await delay(Math.max(0, (until - Date.now()) / ((reporters.length - i) / 10 + 1)));
      }
      await delay(Math.max(0, until - Date.now()));
    }
    const seconds = (Date.now() - began) / 1000;
    for (const { reporter } of reporters) reporter.close();
    return [
      {
        name: `engines.watch-${count}`,
        value: ((ticksOf(pid) - ticks) / TICKS_PER_SECOND / seconds) * 100,
        unit: '%',
        goal,
      },
      {
        name: `engines.asked-${count}`,
        value: ((callsIn(home) - asked) / seconds) * 60,
        unit: 'calls a minute',
        goal: { atMost: 12.5 },
      },
    ];
  } finally {
    await client.request(daemonStop, {}).catch(() => {});
    await client.closed;
  }
}

/** Makes the programs. Each answers at once, so that only the daemon's own work counts. */
function simulate(bin: string, home: string, count: number): void {
  const widths = SQUEUE_WORDS.at(-1)!
    .slice('--Format='.length)
    .split(',')
    .map((column) => Number(column.split(':')[1]));
  const line = (...cells: string[]) => widths.map((width, i) => (cells[i] ?? '').padEnd(width)).join('');
  writeFileSync(
    join(home, 'jobs'),
    `${Array.from({ length: count }, (_, i) => line(`1_${i}`, 'RUNNING', 'None', '0', 'n1')).join('\n')}\n`,
  );
  const put = (name: string, text: string) => writeFileSync(join(bin, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  put('sbatch', 'cat > /dev/null; echo 1');
  put('scontrol', 'echo Requeue=1');
  put('squeue', `echo >> '${home}/asked'; cat '${home}/jobs'`);
  put('scancel', 'exit 0');
}

function begin(shared: string) {
  return readdirSync(join(shared, 'runs')).map((run, i) => {
    const place = join(shared, 'runs', run, '1');
    const allocation = { kind: 'slurm', job: String(i), restart: 0, node: 'n1' };
    const directory = beginLife(place, readTask(place)!, allocation);
    const reporter = new Reporter(directory, 'runnerEvents');
    reporter.report({
      type: 'started',
      step: 0,
      epoch: 0,
      totalSteps: null,
      stepsPerEpoch: null,
      environment: {},
      monitor: null,
      params: {},
      cooperative: false,
      expectsPackage: false,
    });
    reporter.flush();
    return { reporter, output: directory.file('output') };
  });
}

function callsIn(home: string): number {
  return readFileSync(join(home, 'asked'), 'utf8').length;
}

/** Returns the processor time of a process with its threads, without that of programs that it ran. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]!.split(' ');
  return Number(fields[11]) + Number(fields[12]);
}
