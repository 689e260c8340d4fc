/** A short round of `npm run fuzz`, with the same inputs each time. */
import { expect, test } from 'vitest';
import { FULL } from '../support/sample.ts';
import { fuzz } from './engine.ts';
import { TARGETS } from './targets.ts';

const INPUTS = FULL ? 1_500 : 500;
/** Counts for targets whose inputs each need a process, a thread, or an answer of a daemon. */
const FEWER: Record<string, number> = {
  'HDF5 files': 60,
  'requests to the daemon': 250,
  'stores with changed bytes': 12,
};

for (const target of TARGETS)
  test(`${target.name}: no changed input is more than refused`, async () => {
    const inputs = FEWER[target.name] ?? INPUTS;
    // Unguided: coverage would count the test runner's own work, and so few inputs are no search.
    const result = await fuzz(target, { seed: 1, guided: false, goesOn: (executions) => executions < inputs });
    expect(result.executions).toBeGreaterThanOrEqual(inputs);
  }, 120_000);
