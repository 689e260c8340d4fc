/** Measures an import of a long history, beside reading the same files bare. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from '../client/connect.ts';
import { daemonStop } from '../protocol/messages/daemon.ts';
import { importRun } from '../protocol/messages/import.ts';
import { projectOpen } from '../protocol/messages/project.ts';
import type { Build } from '../protocol/version.ts';
import { type Result, timed } from './measure.ts';

const RUNS = 1_000;
const STEPS = 1_000;
const METRICS = ['loss', 'acc', 'val_loss', 'val_acc', 'lr'];

export async function importBenchmarks(folder: string, dist: string): Promise<Result[]> {
  const work = mkdtempSync(join(folder, 'imports-'));
  const project = join(work, 'project');
  mkdirSync(project);
  spawnSync('git', ['init', '-q', '-b', 'main', project]);
  const history = join(work, 'lightning_logs');
  writeHistory(history);
  const env = { ...process.env, TRAINSTASH_STATE: join(work, 'state') };
  const build = JSON.parse(readFileSync(join(dist, 'build.json'), 'utf8')) as Build;
  try {
    const client = await connect({ name: 'bench', build, dist, env });
    await client.request(projectOpen, { root: project, trusted: true });
    let points = 0;
    const bare = await timed(() => readBare(history));
    const seconds = await timed(async () => {
      const report = await client.request(importRun, { root: project, paths: [history] });
      points = report.counts.points;
    });
    await client.request(daemonStop, {});
    await client.closed;
    if (points !== RUNS * STEPS * METRICS.length) throw new Error(`${points} points were imported`);
    return [
      {
        name: 'imports.lightning',
        value: seconds,
        unit: 's',
        theirs: bare,
        versus: 'reading the same files',
        goal: { atMost: 60 },
      },
    ];
  } finally {
    rmSync(work, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Writes runs as Lightning's CSV logger does. */
function writeHistory(history: string): void {
  const value = (step: number, metric: number) => String(Math.sin(step * 0.37 + metric) / (1 + step / 100));
  const rows = Array.from(
    { length: STEPS },
    (_, step) => `0,${step},${METRICS.map((_, metric) => value(step, metric)).join(',')}`,
  );
  const table = `epoch,step,${METRICS.join(',')}\n${rows.join('\n')}\n`;
  for (let i = 0; i < RUNS; i++) {
    const version = join(history, `version_${i}`);
    mkdirSync(version, { recursive: true });
    writeFileSync(join(version, 'hparams.yaml'), `lr: 0.${i + 1}\n`);
    writeFileSync(join(version, 'metrics.csv'), table);
  }
}

function readBare(history: string): void {
  for (const entry of readdirSync(history, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) readFileSync(join(entry.parentPath, entry.name));
}
