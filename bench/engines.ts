/** Measures runs on engines: on a real Slurm of the benchmark's own, and the daemon beside a Slurm that claims many jobs. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../client/connect.ts';
import { randomId } from '../protocol/ids.ts';
import { daemonStop } from '../protocol/messages/daemon.ts';
import { type LogPage, logRead } from '../protocol/messages/metrics.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import { runShow, runStart, runStop } from '../protocol/messages/run.ts';
import type { Launch } from '../protocol/session.ts';
import { LIVE_STATUSES } from '../protocol/status.ts';
import type { Build } from '../protocol/version.ts';
import { runCleanups } from '../test/support/cleanup.ts';
import { until } from '../test/support/folder.ts';
import { type Slurm, slurm, whyNoSlurm } from '../test/support/slurm.ts';
import { makeLaunch } from '../test/support/trainer.ts';
import { watchedJobs } from './engines-watched.ts';
import { CannotMeasure, median, type Result } from './measure.ts';

const STARTS = 7;
const ROUNDS = 3;
const LINES = 20;
/** A command that notes when it begins, and how often it did. */
const NOTES = 'echo $(date +%s%N) >> "$1"; sleep 600';

export async function engineBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const why = whyNoSlurm(true);
  if (why) throw new CannotMeasure(why);
  const work = mkdtempSync(join(folder, 'engines-'));
  try {
    return [
      ...(await nodeStarts(work, dist)),
      ...(await onSlurm(work, dist)),
      ...(await watchedJobs(work, dist, 100, { atMost: 1 })),
    ];
  } finally {
    await runCleanups();
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Measures `node-run` by itself: from its start to the child's first action, and its memory while a script prints. */
async function nodeStarts(work: string, dist: string): Promise<Result[]> {
  const times: number[] = [];
  const bare: number[] = [];
  let peak = 0;
  for (let i = 0; i < STARTS; i++) {
    const place = join(work, `place-${i}`);
    const noted = join(place, 'noted');
    mkdirSync(join(place, 'sessions'), { recursive: true });
    writeFileSync(
      join(place, 'task.json'),
      JSON.stringify(taskOf(place, [`${NOTES} & seq 200000; wait`, 'sh', noted])),
    );
    const before = Date.now();
    const child = spawn(process.execPath, [join(dist, 'node-run.mjs'), place], {
      stdio: 'ignore',
      env: { ...process.env, TRAINSTASH_ALLOCATION: 'none' },
    });
    times.push(
      timesIn(await until('it has begun', () => existsSync(noted) && timesIn(noted).length > 0 && noted))[0]! - before,
    );
    await delay(3_000);
    peak = Math.max(
      peak,
      Number(/VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))![1]) / 1024,
    );
    child.kill('SIGTERM');
    await new Promise((resolve) => child.once('exit', resolve));
    const alone = join(place, 'alone');
    const began = Date.now();
    spawnSync(process.execPath, [
      '-e',
      `require('node:child_process').spawnSync('sh', ['-c', 'date +%s%N > ${alone}'])`,
    ]);
    bare.push(timesIn(alone)[0]! - began);
  }
  return [
    {
      name: 'engines.node-start',
      value: median(times),
      unit: 'ms',
      versus: 'a bare Node that starts a command',
      theirs: median(bare),
      goal: { atMost: 150 },
      raw: { ours: times, theirs: bare },
    },
    { name: 'engines.node-memory', value: peak, unit: 'MiB', goal: { atMost: 60 } },
  ];
}

function taskOf(place: string, words: string[]): object {
  const launch: Launch = makeLaunch({
    job: 'train',
    module: '',
    run: randomId(),
    root: place,
    cwd: place,
    backend: '',
    command: {
      words: ['sh', '-c', ...words],
      cwd: place,
      env: {},
      dir: place,
      checkpoints: [],
      parts: {},
      usesPackage: false,
      facts: {},
    },
  });
  return {
    format: 1,
    run: launch.run,
    launch,
    graceSeconds: 10,
    lives: 20,
    packages: './python',
    nodes: 1,
    launcher: 'plain',
  };
}

/** Compares with the same command that is submitted without Trainstash. */
async function onSlurm(work: string, dist: string): Promise<Result[]> {
  const cluster = await slurm({ graceSeconds: 10 });
  const project = join(work, 'project');
  mkdirSync(project);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  const engines = { cluster: { type: 'slurm', folder: join(work, 'shared'), grace: '10s' } };
  writeFileSync(join(project, 'trainstash.json'), JSON.stringify({ engines, jobs: {} }));
  for (const words of [
    ['add', '-A'],
    ['-c', 'user.name=b', '-c', 'user.email=b@b', 'commit', '-qm', 'first'],
  ])
    spawnSync('git', words, { cwd: project });
  const env = { ...process.env, ...cluster.variables, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const client = await connect({ name: 'bench', build, dist, env });
  try {
    await client.request(projectOpen, { root: project, trusted: true });
    const variables = Object.fromEntries(
      Object.entries(env).flatMap(([name, value]) => (value ? [[name, value]] : [])),
    );
    const start = (words: string[]) =>
      client.request(runStart, {
        root: project,
        job: 'command',
        command: words,
        cwd: project,
        params: {},
        environment: variables,
        engine: 'cluster',
      });
    const end = async (id: string) => {
      await client.request(runStop, { root: project, run: id });
      await until(
        'it is over',
        async () => {
          const { run } = await client.request(runShow, { root: project, run: id });
          return !LIVE_STATUSES.includes(run.status) && run.status !== 'queued';
        },
        120_000,
      );
    };
    const seconds = {
      ours: { submit: [] as number[], requeue: [] as number[] },
      theirs: { submit: [] as number[], requeue: [] as number[] },
    };
    // The first submission also copies the program.
    for (let round = 0; round <= ROUNDS; round++) {
      for (const side of ['theirs', 'ours'] as const) {
        const noted = join(work, `${side}-${round}`);
        const before = Date.now();
        const run = side === 'ours' ? await start(['sh', '-c', NOTES, 'sh', noted]) : null;
        const job = run ? run.engine!.job : submit(cluster, noted, work);
        const [first] = await until('it has begun', () => existsSync(noted) && timesIn(noted), 60_000);
        const asked = Date.now();
        if (round > 0) {
          cluster.call('scontrol', 'requeue', job);
          const [, second] = await until(
            'it has begun again',
            () => timesIn(noted).length > 1 && timesIn(noted),
            120_000,
          );
          seconds[side].submit.push((first! - before) / 1000);
          seconds[side].requeue.push((second! - asked) / 1000);
        }
        if (run) await end(run.id);
        else cluster.call('scancel', '--full', '--signal=KILL', job);
        await until('the node is idle', () => cluster.call('squeue', '-h', '-o', '%t').trim() === '', 60_000);
      }
    }
    const lags = await logLags(start, end, (id, offset) =>
      client.request(logRead, { root: project, run: id, offset, waitMs: 5_000 }),
    );
    const row = (name: 'submit' | 'requeue'): Result => ({
      name: `engines.${name}`,
      value: median(seconds.ours[name]) - median(seconds.theirs[name]),
      unit: 's',
      goal: { atMost: 1 },
      raw: { ours: seconds.ours[name], theirs: seconds.theirs[name] },
    });
    return [
      row('submit'),
      row('requeue'),
      { name: 'engines.log', value: Math.max(...lags) / 1000, unit: 's', goal: { atMost: 2 }, raw: { ours: lags } },
    ];
  } finally {
    await client.request(daemonStop, {}).catch(() => {});
    await client.closed;
  }
}

function submit(cluster: Slurm, noted: string, work: string): string {
  const script = join(work, 'theirs.sh');
  writeFileSync(script, `#!/bin/bash\nexec srun sh -c '${NOTES}' sh '${noted}'\n`);
  return cluster.call('sbatch', '--parsable', '--requeue', '-o', '/dev/null', script).trim();
}

/** Measures from when a line is printed on the node to when a follower has it. */
async function logLags(
  start: (words: string[]) => Promise<{ id: string }>,
  end: (id: string) => Promise<void>,
  read: (id: string, offset: number) => Promise<LogPage>,
): Promise<number[]> {
  const { id } = await start(['sh', '-c', 'while :; do echo at $(date +%s%N); sleep 0.7; done']);
  const lags: number[] = [];
  for (let at = 0; lags.length < LINES; ) {
    const { text, offset } = await read(id, at);
    // Lines of before the first page were not waited for.
    if (at > 0) for (const [, time] of text.matchAll(/at (\d{19})/g)) lags.push(Date.now() - Number(time) / 1e6);
    at = offset;
    if (text === '') await delay(100);
  }
  await end(id);
  return lags;
}

function timesIn(path: string): number[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => /^\d{19}$/.test(line))
    .map((line) => Number(line) / 1e6);
}
