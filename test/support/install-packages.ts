/** Runs once before all tests: those of Python need torch, those of WebGPU a GPU, those of completion three shells, and one an editor. */
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { torchPython } from '../../scripts/python.ts';
import { currentTorch, oldestTorch, optuna } from '../../scripts/python-environments.ts';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { hasNeovim } from './neovim.ts';
import { installShells } from './shells.ts';
import { whyNoSlurm } from './slurm.ts';

// biome-ignore lint/style/noDefaultExport: vitest requires a default export.
export default async function setup(): Promise<void> {
  // Each project that names this file runs it.
  if (process.env.TRAINSTASH_TEST_PACKAGES === String(process.pid)) return;
  process.env.TRAINSTASH_TEST_PACKAGES = String(process.pid);
  // pip in a process of its own: most of the time it waits for the network, as Debian's packages do.
  const script = join(import.meta.dirname, 'torch-environments-process.ts');
  const making = ended(spawn(process.execPath, [script], { stdio: ['ignore', 'inherit', 'inherit'] }));
  const python = torchPython(true);
  if (python) process.env.TRAINSTASH_TEST_PYTHON = python;
  else
    console.warn(
      'TESTS OF PYTHON ARE SKIPPED: no Python with torch and NumPy was found (set TRAINSTASH_TEST_PYTHON to one; as root on Debian it is installed).',
    );
  if (!softwareGpu(true))
    console.warn(
      'TESTS OF WEBGPU ARE SKIPPED: there is no SwiftShader (as root on Debian chromium-common and libvulkan1 are installed).',
    );
  if (!hasNeovim(true)) console.warn('TESTS OF NEOVIM ARE SKIPPED: it is missing (as root on Debian it is installed).');
  const slurm = whyNoSlurm(true);
  if (slurm) console.warn(`TESTS OF SLURM ARE SKIPPED: ${slurm}.`);
  const shells = installShells();
  if (shells.length > 0)
    console.warn(
      `TESTS OF COMPLETION ARE SKIPPED in ${shells.join(' and ')}, which are missing (as root on Debian they are installed).`,
    );
  await making;
  findEnvironments(python);
}

function ended(child: ChildProcess): Promise<void> {
  return new Promise((resolve) => child.once('close', () => resolve()));
}

/** Finds what that process has made; what it could not make is tried again, for the reason. */
function findEnvironments(python: string | null): void {
  const sampler = optuna(true);
  if (sampler.python) process.env.TRAINSTASH_TEST_OPTUNA = sampler.python;
  else console.warn(`TESTS OF SWEEPS WITH OPTUNA ARE SKIPPED: ${sampler.why}.`);
  const current = currentTorch(true);
  if (current.python) process.env.TRAINSTASH_TEST_TORCH = current.python;
  else console.warn(`TESTS WITH TODAY'S PYTORCH ARE SKIPPED: ${current.why}.`);
  if (!python || !current.python) return;
  const oldest = oldestTorch(python, current.python, true);
  if (oldest.python) process.env.TRAINSTASH_TEST_OLDEST_TORCH = oldest.python;
  else console.warn(`TESTS WITH THE OLDEST PYTORCH ARE SKIPPED: ${oldest.why}.`);
}
