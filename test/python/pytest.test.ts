/** Runs the tests of python/tests: all of them with today's PyTorch, those of the state with the oldest supported one. */
import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import type { Counts } from '../support/summary-reporter.ts';

const PYTHON = resolve(import.meta.dirname, '../../python');
const CURRENT = process.env.TRAINSTASH_TEST_TORCH ?? '';
const OLDEST = process.env.TRAINSTASH_TEST_OLDEST_TORCH ?? '';
const TIMEOUT_MS = 300_000;

test.skipIf(!CURRENT)(
  'pytest passes with today’s PyTorch',
  async ({ task }) => {
    await pytest(task.meta, CURRENT, ['tests']);
  },
  TIMEOUT_MS,
);

test.skipIf(!OLDEST)(
  'pytest passes with the oldest PyTorch',
  async ({ task }) => {
    await pytest(task.meta, OLDEST, ['tests', '-m', 'oldest']);
  },
  TIMEOUT_MS,
);

test.skipIf(!CURRENT)('mypy and ruff find nothing', async () => {
  expect(await run(CURRENT, ['-m', 'ruff', 'check', '--no-cache', '.'])).toMatchObject({ code: 0 });
  const cache = resolve(PYTHON, '../.cache/mypy');
  expect(await run(CURRENT, ['-m', 'mypy', '--cache-dir', cache, 'trainstash'])).toMatchObject({ code: 0 });
});

async function pytest(meta: { counts?: Counts }, python: string, words: string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const report = join(folder, 'junit.xml');
  const ended = await run(python, [
    '-m',
    'pytest',
    ...words,
    `--basetemp=${join(folder, 't')}`,
    `--junitxml=${report}`,
  ]);
  // Read before the test may fail, so that the summary counts what passed.
  if (existsSync(report)) meta.counts = countsIn(readFileSync(report, 'utf8'));
  expect(ended.code, ended.text).toBe(0);
}

function countsIn(report: string): Counts {
  const number = (name: string) => Number(report.match(new RegExp(` ${name}="(\\d+)"`))![1]);
  const failed = number('failures') + number('errors');
  const skipped = number('skipped');
  return { passed: number('tests') - failed - skipped, failed, skipped };
}

async function run(python: string, words: string[]): Promise<{ code: number | null; text: string }> {
  const env = { ...process.env, PYTHONDONTWRITEBYTECODE: '1' };
  const child = spawn(python, words, { cwd: PYTHON, env, stdio: ['ignore', 'pipe', 'pipe'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (text += chunk));
  const code = await new Promise<number | null>((done) => child.once('close', done));
  return { code, text };
}
