/** Once before the tests of frameworks: each needs a virtual environment of its own. */
import { frameworkPython, frameworks } from '../../scripts/python-environments.ts';
import { realPackages } from './native-package.ts';

// biome-ignore lint/style/noDefaultExport: vitest wants a default export.
export default function setup(): void {
  for (const { name, isOlder } of frameworks()) {
    if (isOlder && !process.env.TRAINSTASH_TEST_FULL) continue;
    const made = frameworkPython(name, true);
    if (made.python === null) console.warn(`TESTS WITH ${name.toUpperCase()} ARE SKIPPED: ${made.why}.`);
  }
  if (realPackages(true) === null) console.warn('TESTS WITH TFJS-NODE ARE SKIPPED: npm could not install it.');
}
