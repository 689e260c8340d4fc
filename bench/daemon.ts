/** Measures the daemon from a client's side: start, idle, small requests, the first page of a large project. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { connect } from '../client/connect.ts';
import { checkpointList } from '../protocol/messages/checkpoint.ts';
import { daemonState, daemonStatus, daemonStop } from '../protocol/messages/daemon.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import { runList, runShow } from '../protocol/messages/run.ts';
import type { Build } from '../protocol/version.ts';
import { alternate, median, percentile, type Result, timed, times } from './measure.ts';
import { fillRuns } from './projects.ts';

const RUNS = 10_000;
const REQUESTS = 2_000;
const STARTS = 7;
const COMMANDS = 12;

export async function daemonBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'daemon-'));
  const project = join(work, 'project');
  mkdirSync(project);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  await fillRuns(join(project, '.git/trainstash'), dist, RUNS);
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const start = () => connect({ name: 'bench', build, dist, env });
  try {
    // The first start also copies the runtime; users usually wait for a start with the copy in place.
    const starts: number[] = [];
    for (let i = 0; i <= STARTS; i++) {
      const seconds = await timed(async () => {
        const client = await start();
        if (i === STARTS) return client.close();
        await client.request(daemonStop, {});
        await client.closed;
      });
      await untilStopped(i === STARTS, env, build);
      if (i > 0 && i < STARTS) starts.push(seconds);
    }
    const client = await start();
    const status = await client.request(daemonStatus, {});
    const idle = residentMebibytes(status.pid);

    await client.request(projectOpen, { root: project, trusted: true });
    const trees: number[] = [];
    for (let i = 0; i < 15; i++) {
      trees.push(
        await timed(async () => {
          await client.request(daemonState, {});
          await client.request(runList, { root: project, branch: 'main', limit: 100 });
          await client.request(checkpointList, { root: project, run: '10000' });
        }),
      );
    }
    const requests: number[] = [];
    for (let i = 0; i < REQUESTS; i++)
      requests.push(await timed(() => client.request(runShow, { root: project, run: String((i % RUNS) + 1) })));
    const open = residentMebibytes(status.pid);
    const nothing = join(work, 'nothing.mjs');
    writeFileSync(nothing, '');
    const command = (...words: string[]) => timed(() => finish(project, env, words));
    const version = await alternate(
      COMMANDS,
      () => command(join(dist, 'trainstash.js'), '--version'),
      () => command(nothing),
    );
    const listed: number[] = [];
    for (let i = 0; i <= COMMANDS; i++) listed.push(await command(join(dist, 'trainstash.js'), 'ls'));
    listed.shift();
    await client.request(daemonStop, {});
    await client.closed;
    return [
      { name: 'daemon.start', value: median(starts) * 1000, unit: 'ms', goal: { atMost: 400 }, raw: { ours: starts } },
      { name: 'daemon.idle', value: idle, unit: 'MiB', goal: { atMost: 90 } },
      { name: 'daemon.open', value: open, unit: 'MiB with a large project open', goal: {} },
      { name: 'daemon.state', value: median(trees) * 1000, unit: 'ms', goal: { atMost: 150 }, raw: { ours: trees } },
      { name: 'daemon.rpc', value: percentile(requests, 0.99) * 1000, unit: 'ms (p99)', goal: { atMost: 2 } },
      times('cli.version', version, 'node with an empty file', 1.13),
      { name: 'cli.ls', value: median(listed) * 1000, unit: 'ms', goal: { atMost: 120 }, raw: { ours: listed } },
    ];
  } finally {
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Runs Node to its end. */
function finish(cwd: string, env: NodeJS.ProcessEnv, words: string[]): void {
  const { status, stderr } = spawnSync(process.execPath, words, { cwd, env });
  if (status !== 0) throw new Error(`node ${words.join(' ')}: ${stderr}`);
}

async function untilStopped(last: boolean, env: NodeJS.ProcessEnv, build: Build): Promise<void> {
  while (!last) {
    try {
      (await connect({ name: 'bench', build, dist: null, env })).close();
      await delay(10);
    } catch {
      return;
    }
  }
}

function residentMebibytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1024;
}
