/** A short round of `npm run fuzz`, with the same inputs each time. */
import { expect, test } from 'vitest';
import { fuzz } from './engine.ts';
import { TARGETS } from './targets.ts';

const GUIDED_INPUTS = 1_500;
const OTHER_INPUTS: Record<string, number> = { 'requests to the daemon': 250, 'stores with changed bytes': 12 };

for (const target of TARGETS.filter(({ guided }) => guided)) {
  test(`${target.name}: no changed input is more than refused`, async () => {
    const inputs = OTHER_INPUTS[target.name] ?? GUIDED_INPUTS;
    // Unguided: coverage would count the test runner's own work, and 1,500 inputs are no search.
    const result = await fuzz(target, { seed: 1, guided: false, goesOn: (executions) => executions < inputs });
    expect(result.executions).toBeGreaterThanOrEqual(inputs);
  }, 120_000);
}
