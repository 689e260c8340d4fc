/**
 * `npm run signals [-- --count 100] [--seed 7] [--only 7:12]`: signalled trainings, generated, resumed and compared to the bit
 * (python/tests/signalled). The last line says how many steps were lost.
 */
import { spawn } from 'node:child_process';
import { delimiter, resolve } from 'node:path';
import { currentTorch } from './python-environments.ts';

const PYTHON = resolve(import.meta.dirname, '../python');

const { python, why } = currentTorch(true);
if (python === null) {
  console.error(`The environment of torch cannot be made: ${why}.`);
  process.exit(2);
}
const path = [resolve(PYTHON, 'tests'), resolve(PYTHON, 'src')].join(delimiter);
const env = { ...process.env, PYTHONPATH: path, PYTHONDONTWRITEBYTECODE: '1' };
const child = spawn(python, ['-m', 'signalled', ...process.argv.slice(2)], { cwd: PYTHON, env, stdio: 'inherit' });
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => child.kill(signal));
child.once('close', (code) => process.exit(code ?? 1));
