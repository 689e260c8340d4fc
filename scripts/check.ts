/**
 * `npm run check`: everything that can be known without starting a daemon, in two minutes. Runs all steps, also after one that
 * fails, and prints a line for each as it ends.
 */
import { spawnSync } from 'node:child_process';
import { join, resolve } from 'node:path';
import { currentTorch } from './python-environments.ts';

const root = resolve(import.meta.dirname, '..');
const python = currentTorch(true);

interface Step {
  name: string;
  words: [string, ...string[]];
  cwd?: string;
  /** Prints its output also when it passes. */
  tells?: boolean;
}

const steps: Step[] = [
  { name: 'build', words: ['node', 'scripts/build.mjs'] },
  { name: 'format and lint', words: ['biome', 'check', '--error-on-warnings', '.'] },
  { name: 'types', words: ['tsc', '-b'] },
  { name: 'unused code', words: ['knip'] },
  { name: 'form', words: ['node', 'scripts/form.ts'], tells: true },
  { name: 'kernels', words: ['node', 'scripts/kernels.mjs', '--check'] },
  ...(python.python
    ? [
        { name: 'ruff', words: [python.python, '-m', 'ruff', 'check', '--no-cache', '.'], cwd: 'python' },
        {
          name: 'mypy',
          words: [python.python, '-m', 'mypy', '--cache-dir', '../.cache/mypy', 'src/trainstash'],
          cwd: 'python',
        },
      ].map((step) => step as Step)
    : []),
  { name: 'unit tests', words: ['vitest', 'run', '--project', 'unit', '--reporter', 'dot'] },
];

const results = steps.map(({ name, words: [program, ...rest], cwd, tells }) => {
  const started = performance.now();
  const ended = spawnSync(program, rest, {
    cwd: join(root, cwd ?? ''),
    encoding: 'utf8',
    shell: process.platform === 'win32',
  });
  const isGood = ended.status === 0;
  if (!isGood) console.log(`\n── ${name} ──\n${ended.stdout ?? ''}${ended.stderr ?? ''}${ended.error ?? ''}`);
  const seconds = (performance.now() - started) / 1000;
  console.log(`${isGood ? '✔' : '✘'} ${name.padEnd(16)} ${seconds.toFixed(1).padStart(5)} s`);
  if (isGood && tells) console.log(ended.stdout.trimEnd());
  return isGood;
});
if (!python.python) console.log(`– ruff and mypy    not run: ${python.why}`);
process.exitCode = results.every((isGood) => isGood) ? 0 : 1;
