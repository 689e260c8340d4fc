/** Runs pytest and other tools of a Python in the folder of the package. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import type { Counts } from './summary-reporter.ts';

export const PYTHON_FOLDER = resolve(import.meta.dirname, '../../python');
/** Python with today's PyTorch; empty if there is none. */
export const CURRENT = process.env.TRAINSTASH_TEST_TORCH ?? '';
export const PYTEST_TIMEOUT_MS = 900_000;

/** Names the files of python/tests that take half of its time: the two halves run side by side. */
export function ofProcesses(): string[] {
  return ['ddp_sums', 'elastic', 'matrix', 'ranks_agree', 'sharded', 'signals'].map((name) => `tests/test_${name}.py`);
}

/** Runs the tests that `words` name and counts them in the summary. */
export async function pytest(meta: { counts?: Counts }, python: string, words: string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const report = join(folder, 'junit.xml');
  const ended = await runInPackage(python, [
    '-m',
    'pytest',
    ...words,
    `--basetemp=${join(folder, 't')}`,
    `--junitxml=${report}`,
  ]);
  // Before it may fail, so that the summary counts what passed.
  if (existsSync(report)) meta.counts = countsIn(readFileSync(report, 'utf8'));
  expect(ended.code, ended.text).toBe(0);
}

function countsIn(report: string): Counts {
  const number = (name: string) => Number(report.match(new RegExp(` ${name}="(\\d+)"`))![1]);
  const failed = number('failures') + number('errors');
  const skipped = number('skipped');
  return { passed: number('tests') - failed - skipped, failed, skipped };
}

export async function runInPackage(python: string, words: string[]): Promise<{ code: number | null; text: string }> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
  const child = spawn(python, words, { cwd: PYTHON_FOLDER, env, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const code = await new Promise<number | null>((done) => child.once('close', done));
  return { code, text };
}
