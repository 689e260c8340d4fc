/** Attacks the Python package's reader with atheris, which is installed beside today's PyTorch on first use. */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { delimiter, join, resolve } from 'node:path';
import { currentTorch } from '../../scripts/python-environments.ts';

export const PYTHON_TARGET = 'checkpoints in Python';
/** Built for Linux and macOS only. */
const ATHERIS = 'atheris==3.0.0';
const ROOT = resolve(import.meta.dirname, '../..');
const MEMORY_MB = 4_096;
const HANG_SECONDS = 20;

export interface PythonResult {
  executions: number;
  /** Last lines that libFuzzer printed about a finding; null: there is none. */
  problem: string | null;
}

/** Runs for so long; where it cannot, the reason is returned. `input`: a single file to try again. */
export async function fuzzPython(
  minutes: number,
  seed: number,
  findings: string,
  input?: string,
): Promise<PythonResult | { why: string }> {
  const { python, why } = currentTorch(true);
  if (python === null) return { why };
  const packages = join(ROOT, '.cache/fuzz-python', ATHERIS);
  if (!installed(python, packages)) return { why: `${ATHERIS} cannot be installed here` };
  mkdirSync(findings, { recursive: true });
  const corpus = join(findings, 'python-corpus');
  const report = join(findings, 'python-executions');
  rmSync(report, { force: true });
  const options = input
    ? [input]
    : [
        `-max_total_time=${Math.round(minutes * 60)}`,
        `-seed=${seed}`,
        `-artifact_prefix=${findings}/`,
        '-max_len=65536',
      ];
  const words = [join(import.meta.dirname, 'python_reader.py'), report, `-rss_limit_mb=${MEMORY_MB}`];
  const child = spawn(python, [...words, `-timeout=${HANG_SECONDS}`, ...options, ...(input ? [] : [corpus])], {
    env: {
      ...process.env,
      PYTHONPATH: [packages, join(ROOT, 'python/src')].join(delimiter),
      PYTHONDONTWRITEBYTECODE: '1',
    },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  child.stderr.on('data', (data) => {
    said = (said + data).slice(-8_000);
  });
  const code = await new Promise<number | null>((done) => child.once('close', done));
  const executions = existsSync(report) ? Number(readFileSync(report, 'utf8')) : 0;
  const lines = said.split('\n').filter((line) => !/^#\d+\t/.test(line));
  return { executions, problem: code === 0 ? null : lines.slice(-25).join('\n') };
}

function installed(python: string, folder: string): boolean {
  if (existsSync(folder)) return true;
  const temporary = `${folder}.tmp-${process.pid}`;
  const { status } = spawnSync(
    python,
    ['-m', 'pip', 'install', '--quiet', '--no-input', '--no-deps', '--target', temporary, ATHERIS],
    { stdio: ['ignore', 'ignore', 'ignore'] },
  );
  if (status === 0) renameSync(temporary, folder);
  rmSync(temporary, { recursive: true, force: true });
  return status === 0;
}
