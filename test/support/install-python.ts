/** Once before all tests: those of Python need torch. */
import { torchPython } from '../../scripts/python.ts';

// biome-ignore lint/style/noDefaultExport: vitest wants a default export.
export default function setup(): void {
  const python = torchPython(true);
  if (python) process.env.TRAINSTASH_TEST_PYTHON = python;
  else
    console.warn(
      'TESTS OF PYTHON ARE SKIPPED: no Python with torch and NumPy was found (set TRAINSTASH_TEST_PYTHON to one; as root on Debian it is installed).',
    );
}
