/** Makes the environments of frameworks and says which cannot be made. Removes the file that it was given when all are there. */
import { rmSync } from 'node:fs';
import { setPriority } from 'node:os';
import { frameworkPython, frameworks } from '../../scripts/python-environments.ts';
import { realPackages } from './native-package.ts';

// The tests go first.
setPriority(10);
try {
  for (const { name, isOlder } of frameworks()) {
    if (isOlder && !process.env.TRAINSTASH_TEST_FULL) continue;
    const made = frameworkPython(name, true);
    if (made.python === null) console.warn(`TESTS WITH ${name.toUpperCase()} ARE SKIPPED: ${made.why}.`);
  }
  if (realPackages(true) === null) console.warn('TESTS WITH TFJS-NODE ARE SKIPPED: npm could not install it.');
} finally {
  rmSync(process.argv[2]!, { force: true });
}
