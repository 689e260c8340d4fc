/** The daemon as a client meets it: start, idle, small requests, the first page of a large project. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { connect } from '../client/connect.ts';
import { newRun } from '../daemon/runs/records.ts';
import { startStore } from '../daemon/store/client.ts';
import type { Checkpoint } from '../protocol/domain.ts';
import * as m from '../protocol/messages.ts';
import type { Build } from '../protocol/version.ts';
import { median, percentile, type Result, timed } from './measure.ts';

const RUNS = 10_000;
const CHECKPOINTS_A_RUN = 10;
const REQUESTS = 2_000;
const STARTS = 7;

export async function daemonBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'daemon-'));
  const project = join(work, 'project');
  mkdirSync(project);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  await fill(join(project, '.git/trainstash'), dist);
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  const start = () => connect({ name: 'bench', build, dist, env });
  try {
    // The first start also copies the runtime; what a user waits for every day is a start with the copy there.
    const starts: number[] = [];
    for (let i = 0; i <= STARTS; i++) {
      const seconds = await timed(async () => {
        const client = await start();
        if (i === STARTS) return client.close();
        await client.request(m.daemonStop, {});
        await client.closed;
      });
      await untilStopped(i === STARTS, env, build);
      if (i > 0 && i < STARTS) starts.push(seconds);
    }
    const client = await start();
    const status = await client.request(m.daemonStatus, {});
    const idle = residentMebibytes(status.pid);

    await client.request(m.projectOpen, { root: project, trusted: true });
    const trees: number[] = [];
    for (let i = 0; i < 15; i++) {
      trees.push(
        await timed(async () => {
          await client.request(m.daemonState, {});
          await client.request(m.runList, { root: project, branch: 'main', limit: 100 });
          await client.request(m.checkpointList, { root: project, run: '10000' });
        }),
      );
    }
    const requests: number[] = [];
    for (let i = 0; i < REQUESTS; i++)
      requests.push(await timed(() => client.request(m.runShow, { root: project, run: String((i % RUNS) + 1) })));
    const open = residentMebibytes(status.pid);
    await client.request(m.daemonStop, {});
    await client.closed;
    return [
      { name: 'daemon.start', value: median(starts) * 1000, unit: 'ms', goal: { atMost: 400 }, raw: { ours: starts } },
      { name: 'daemon.idle', value: idle, unit: 'MiB', goal: { atMost: 90 } },
      { name: 'daemon.open', value: open, unit: 'MiB with a large project open', goal: {} },
      { name: 'daemon.state', value: median(trees) * 1000, unit: 'ms', goal: { atMost: 150 }, raw: { ours: trees } },
      { name: 'daemon.rpc', value: percentile(requests, 0.99) * 1000, unit: 'ms (p99)', goal: { atMost: 2 } },
    ];
  } finally {
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
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

/** Rows as trainings leave them, straight into a store of its own. */
async function fill(path: string, dist: string): Promise<void> {
  const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), { path });
  const identity = { branch: 'main', commit: 'f'.repeat(40), dirty: false, code: 'c'.repeat(40), codeLeftOut: [] };
  for (let i = 0; i < RUNS; i++) {
    const params = { learningRate: 0.001 * (i % 7), epochs: 10, batchSize: 64 };
    const run = await store.createRun({
      ...newRun({ job: 'bench', params, overrides: [], seed: 0, backend: 'wasm', identity, restarts: 0 }),
      status: 'completed',
      checkpoints: CHECKPOINTS_A_RUN,
    });
    const checkpoints = Array.from(
      { length: CHECKPOINTS_A_RUN },
      (_, k): Checkpoint => ({
        id: `${run.id.slice(0, 10)}${String(k).padStart(2, '0')}`,
        run: run.id,
        session: 's',
        step: (k + 1) * 100,
        epoch: k,
        createdAt: run.createdAt + k,
        bytes: 1e6,
        storedBytes: 5e5,
        reasons: ['steps'],
        tags: [],
        grade: 'complete',
        missing: [],
        proof: null,
        stateDigest: 'd'.repeat(64),
        parent: null,
        metrics: { loss: 1 / (k + 1) },
        trashedAt: null,
      }),
    );
    await store.putCheckpointRows(checkpoints);
  }
  await store.close();
}
