/** Measures the Python package beside a blocking `torch.save`, storing a large `.pt`, and inspecting one. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, statSync, utimesSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { startStore } from '../daemon/store/client.ts';
import { inspect } from '../inspector/inspect.ts';
import { InspectorPool, inspectorSetup } from '../inspector/pool.ts';
import { torchPython } from '../scripts/python.ts';
import { currentTorch } from '../scripts/python-environments.ts';
import { alternate, median, type Result, timed, times } from './measure.ts';
import { hashAndWrite } from './store.ts';

const ROUNDS = 10;
const IMPORTS = 20;
const PACKAGE = resolve(import.meta.dirname, '../python/src');

export async function pythonBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const python = currentTorch(true).python ?? torchPython(true);
  if (!python) {
    console.error('python: no Python with torch was found');
    return [];
  }
  const work = mkdtempSync(join(folder, 'python-'));
  try {
    const results = packageBenchmarks(python, work);
    const large = largeFile(python, work);
    return [...results, await ingest(work, dist, large), await inspectBenchmark(large, dist)];
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

interface Sides {
  ours: number[];
  theirs: number[];
}

function packageBenchmarks(python: string, work: string): Result[] {
  const env = { ...process.env, PYTHONPATH: PACKAGE, PYTHONDONTWRITEBYTECODE: '1' };
  const side = spawnSync(python, ['-W', 'ignore', join(import.meta.dirname, 'python_side.py'), work], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { stall, durable, load, loadUnverified, overhead, log, memory, analyse } = JSON.parse(side.stdout) as Record<
    'stall' | 'durable' | 'load' | 'loadUnverified' | 'overhead',
    Sides
  > & {
    log: number[];
    memory: number[];
    analyse: number[];
  };
  const imports = Array.from({ length: IMPORTS }, () => {
    const code = 'import time; t = time.perf_counter(); import trainstash; print(time.perf_counter() - t)';
    return Number(
      spawnSync(python, ['-c', code], { env: { ...process.env, PYTHONPATH: PACKAGE }, encoding: 'utf8' }).stdout,
    );
  });
  return [
    times('python.stall', stall, 'torch.save + fsync of the same 400 MB', 0.1),
    times('python.durable', durable, 'torch.save + fsync', 1.2),
    times('python.loadUnverified', loadUnverified, 'the same, of a file that no daemon has just restored', 1.1),
    times('python.load', load, 'torch.load + load_state_dict of the same 400 MB', 1.1),
    { name: 'python.memory', value: median(memory), unit: '× state', goal: { atMost: 1.1 }, raw: { ours: memory } },
    times('python.overhead', overhead, 'the same 200 steps without us', 1.02),
    { name: 'python.log', value: median(log) * 1e6, unit: 'µs', goal: { atMost: 10 }, raw: { ours: log } },
    { name: 'python.analyse', value: median(analyse) * 1e3, unit: 'ms', goal: { atMost: 5 }, raw: { ours: analyse } },
    { name: 'python.import', value: median(imports) * 1000, unit: 'ms', goal: { atMost: 30 }, raw: { ours: imports } },
  ];
}

function largeFile(python: string, work: string): string {
  const path = join(work, 'large.pt');
  const code = `import torch; torch.save({'model': {f'layer{i}.weight': torch.randn(1024, 1024) for i in range(256)}}, ${JSON.stringify(path)})`;
  spawnSync(python, ['-c', code], { stdio: 'inherit' });
  // Otherwise its writeback would continue during the first rounds.
  spawnSync('sync');
  return path;
}

/** Measures from the moment a file counts as still until it is durably stored. */
async function ingest(work: string, dist: string, large: string): Promise<Result> {
  let round = 0;
  const ours = async () => {
    const path = join(work, `store-${round++}`);
    mkdirSync(path);
    const store = await startStore(pathToFileURL(join(dist, 'store-worker.js')), { path, quotaBytes: 100e9 });
    try {
      const stat = statSync(large, { bigint: true });
      const expected = {
        ino: `${stat.dev}:${stat.ino}`,
        bytes: Number(stat.size),
        mtimeMs: Number(stat.mtimeNs) / 1e6,
      };
      return await timed(() => store.saveFile({ root: work, branch: 'main', path: 'large.pt', expected }));
    } finally {
      await store.close();
      rmSync(path, { recursive: true, force: true });
    }
  };
  const theirs = () => {
    const seconds = hashAndWrite(large, join(work, 'raw'), 1 << 20);
    rmSync(join(work, 'raw'), { force: true });
    return seconds;
  };
  return times('python.ingest', await alternate(ROUNDS, ours, theirs), 'SHA-256 + raw write in one thread, 1 GiB', 1.1);
}

/** Measures inspections by a process that is already running, as for every file but the first. */
async function inspectBenchmark(large: string, dist: string): Promise<Result> {
  const pool = new InspectorPool(inspectorSetup(dist));
  try {
    const rounds: number[] = [];
    for (let round = 0; round <= 10; round++) {
      // The time changes each round, since the last inspection is cached.
      utimesSync(large, round, round);
      const started = performance.now();
      const inspection = await inspect(pool, null, { path: large });
      if (inspection.tensors.length !== 256) throw new Error('not all tensors were found');
      if (round > 0) rounds.push(performance.now() - started);
    }
    return { name: 'formats.inspect', value: median(rounds), unit: 'ms', goal: { atMost: 50 }, raw: { ours: rounds } };
  } finally {
    pool.close();
  }
}
