/** Runs once before all tests: those of Python need torch, those of WebGPU a GPU, those of completion three shells, and one an editor. */
import { torchPython } from '../../scripts/python.ts';
import { currentTorch, oldestTorch } from '../../scripts/python-environments.ts';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { hasNeovim } from './neovim.ts';
import { installShells } from './shells.ts';

// biome-ignore lint/style/noDefaultExport: vitest requires a default export.
export default function setup(): void {
  const python = torchPython(true);
  if (python) process.env.TRAINSTASH_TEST_PYTHON = python;
  else
    console.warn(
      'TESTS OF PYTHON ARE SKIPPED: no Python with torch and NumPy was found (set TRAINSTASH_TEST_PYTHON to one; as root on Debian it is installed).',
    );
  findEnvironments(python);
  if (!softwareGpu(true))
    console.warn(
      'TESTS OF WEBGPU ARE SKIPPED: there is no SwiftShader (as root on Debian chromium-common and libvulkan1 are installed).',
    );
  if (!hasNeovim(true)) console.warn('TESTS OF NEOVIM ARE SKIPPED: it is missing (as root on Debian it is installed).');
  const shells = installShells();
  if (shells.length > 0)
    console.warn(
      `TESTS OF COMPLETION ARE SKIPPED in ${shells.join(' and ')}, which are missing (as root on Debian they are installed).`,
    );
}

function findEnvironments(python: string | null): void {
  const current = currentTorch(true);
  if (current.python) process.env.TRAINSTASH_TEST_TORCH = current.python;
  else console.warn(`TESTS WITH TODAY'S PYTORCH ARE SKIPPED: ${current.why}.`);
  if (!python || !current.python) return;
  const oldest = oldestTorch(python, current.python, true);
  if (oldest.python) process.env.TRAINSTASH_TEST_OLDEST_TORCH = oldest.python;
  else console.warn(`TESTS WITH THE OLDEST PYTORCH ARE SKIPPED: ${oldest.why}.`);
}
