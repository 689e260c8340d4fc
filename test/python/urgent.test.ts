/** An urgent run interrupts two PyTorch runs, with kills in between: both end with the bits of undisturbed ones. */
import { expect, test } from 'vitest';
import { makeUrgentMachine, type Phase, urgentRound, type Victim } from '../support/urgent-rounds.ts';

const TORCH = process.env.TRAINSTASH_TEST_TORCH ?? '';

/** Kills of each round. Importing torch takes most of it, so one round has all those that can follow each other. */
const ROUNDS: readonly (readonly (readonly [Phase, Victim])[])[] = [
  [],
  [
    ['saving', 'daemon'],
    ['urgent runs', 'urgent run'],
    ['going on', 'daemon'],
  ],
  [['saving', 'interrupted run']],
];

test.skipIf(!TORCH)(
  'two PyTorch runs that are interrupted for an urgent one end as if they had not been, whatever is killed meanwhile',
  { timeout: 1_200_000 },
  async () => {
    const machine = await makeUrgentMachine(TORCH);
    expect(machine.undisturbed.join()).toMatch(/^FINAL \w{64} 80,FINAL \w{64} 80$/);
    expect(machine.undisturbed[0]).not.toBe(machine.undisturbed[1]);
    // Before the first checkpoint, which comes at step 7, and after it.
    for (const [i, strikes] of ROUNDS.entries())
      expect(await urgentRound(machine, strikes, 3 + 6 * i)).toEqual({
        problems: [],
        killed: strikes.map(([, victim]) => victim),
      });
  },
);
