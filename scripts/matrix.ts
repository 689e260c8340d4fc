/**
 * `npm run matrix [-- --minutes 30] [--framework torch] [--count 500] [--seed 7] [--only 7:12]`: killed trainings, generated and
 * compared to the bit (python/tests/matrix), in the environment of their framework. The last lines say how many came out how.
 */
import { spawn } from 'node:child_process';
import { delimiter, resolve } from 'node:path';
import { currentTorch, frameworkPython, type PythonEnvironment } from './python-environments.ts';

const PYTHON = resolve(import.meta.dirname, '../python');
/** Environments of each framework's trainings. */
const ENVIRONMENTS: Record<string, (make: boolean) => PythonEnvironment> = {
  torch: currentTorch,
  keras: (make) => frameworkPython('keras', make),
  huggingface: (make) => frameworkPython('huggingface', make),
  lightning: (make) => frameworkPython('lightning', make),
  paddle: (make) => frameworkPython('paddle', make),
};

const words = process.argv.slice(2);
const named = words.find((_, i) => words[i - 1] === '--framework') ?? 'torch';
const environment = ENVIRONMENTS[named];
if (!environment) {
  console.error(`There is no matrix of ${named}. There are: ${Object.keys(ENVIRONMENTS).join(', ')}.`);
  process.exit(2);
}
const { python, why } = environment(true);
if (python === null) {
  console.error(`The environment of ${named} cannot be made: ${why}.`);
  process.exit(2);
}
const path = [resolve(PYTHON, 'tests'), resolve(PYTHON, 'src')].join(delimiter);
const env = { ...process.env, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: '1' };
const child = spawn(python, ['-m', 'matrix', ...words], { cwd: PYTHON, env, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.once('close', (code) => process.exit(code ?? 1));
