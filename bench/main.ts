/** `npm run bench -- [GROUP…] [--json] [--write]`: one line a number; all groups, or those of a run with --write, are written to docs/benchmarks.md; groups: store, trainer, backends, storage, metrics, daemon, runner, branches, python, diff, watching, remotes, engines, imports, language, editor. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { backendBenchmarks } from './backends.ts';
import { branchBenchmarks } from './branches.ts';
import { daemonBenchmarks } from './daemon.ts';
import { diffBenchmarks } from './diff.ts';
import { editorBenchmarks } from './editor.ts';
import { engineBenchmarks } from './engines.ts';
import { importBenchmarks } from './imports.ts';
import { languageBenchmarks } from './language.ts';
import { CannotMeasure, print, type Result } from './measure.ts';
import { metricsBenchmarks } from './metrics.ts';
import { installPeers } from './peers.ts';
import { pythonBenchmarks } from './python.ts';
import { remoteBenchmarks } from './remotes.ts';
import { writeReport } from './report.ts';
import { runnerBenchmarks } from './runner.ts';
import { storageBenchmarks } from './storage.ts';
import { storeBenchmarks } from './store.ts';
import { trainerBenchmarks } from './trainer.ts';
import { watchingBenchmarks } from './watching.ts';

const groups: Record<string, (folder: string, dist: string) => Promise<Result[]>> = {
  store: storeBenchmarks,
  storage: storageBenchmarks,
  trainer: trainerBenchmarks,
  backends: backendBenchmarks,
  metrics: metricsBenchmarks,
  daemon: daemonBenchmarks,
  runner: runnerBenchmarks,
  branches: branchBenchmarks,
  python: pythonBenchmarks,
  diff: diffBenchmarks,
  watching: watchingBenchmarks,
  remotes: remoteBenchmarks,
  engines: engineBenchmarks,
  imports: importBenchmarks,
  language: languageBenchmarks,
  editor: editorBenchmarks,
};

const json = process.argv.includes('--json');
const wanted = process.argv.slice(2).filter((word) => !word.startsWith('--'));
const unknown = wanted.filter((name) => !groups[name]);
if (unknown.length > 0) {
  console.error(`There is no group ${unknown.join(', ')}. Groups: ${Object.keys(groups).join(', ')}.`);
  process.exit(2);
}
installPeers();
const folder = mkdtempSync(join(process.env.TRAINSTASH_BENCH_FOLDER ?? tmpdir(), 'trainstash-bench-'));
const results: Result[] = [];
/** Groups that this machine cannot measure now. */
const unmeasured: string[] = [];
const dist = resolve(import.meta.dirname, '../dist');
try {
  for (const [name, run] of Object.entries(groups)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    try {
      for (const result of await run(folder, dist)) {
        results.push(result);
        print(result, json);
      }
    } catch (error) {
      // Whatever the reason, the other groups can still be measured.
      const isExpected = error instanceof CannotMeasure;
      const { message, stack } = error as Error;
      console.error(`${name}: not measured: ${isExpected ? message : stack}`);
      if (!isExpected) process.exitCode = 1;
      unmeasured.push(name);
    }
  }
  if (wanted.length === 0 || process.argv.includes('--write')) writeReport(results, dist);
  if (unmeasured.length > 0) console.error(`Not measured: ${unmeasured.join(', ')}. Their rows are older.`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
