/** Once before all tests: those of Python need torch, those of WebGPU a GPU. */
import { torchPython } from '../../scripts/python.ts';
import { softwareGpu } from '../../scripts/software-gpu.ts';

// biome-ignore lint/style/noDefaultExport: vitest wants a default export.
export default function setup(): void {
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
}
