/** An urgent run interrupts two PyTorch runs, with kills in between: both end with the bits of undisturbed ones. */
import { expect, test } from 'vitest';
import { makeUrgentMachine, type Phase, urgentRound, type Victim } from '../support/urgent-rounds.ts';

const TORCH = process.env.TRAINSTASH_TEST_TORCH ?? '';

const ROUNDS: readonly [Phase, Victim][] = [
  ['none', 'daemon'],
  ['saving', 'daemon'],
  ['urgent runs', 'urgent run'],
  ['saving', 'interrupted run'],
  ['going on', 'daemon'],
];

test.skipIf(!TORCH)(
  'two PyTorch runs that are interrupted for an urgent one end as if they had not been, whatever is killed meanwhile',
  { timeout: 480_000 },
  async () => {
    const machine = await makeUrgentMachine(TORCH);
    expect(machine.undisturbed.join()).toMatch(/^FINAL \w{64} 80,FINAL \w{64} 80$/);
    expect(machine.undisturbed[0]).not.toBe(machine.undisturbed[1]);
    for (const [i, [phase, victim]] of ROUNDS.entries())
      expect(await urgentRound(machine, phase, victim, 5 + 6 * i)).toEqual([]);
  },
);
