/** `npm run chaos -- urgent [--rounds N] [--seed S]`: urgent runs interrupt two PyTorch runs, with kills in each phase. */

import { currentTorch } from '../../scripts/python-environments.ts';
import type { Random } from '../../trainer/random.ts';
import { runCleanups } from '../support/cleanup.ts';
import { makeUrgentMachine, PHASES, urgentRound, VICTIMS } from '../support/urgent-rounds.ts';

/** Steps of the trainings, and those at their end that a request may not reach in time. */
const STEPS = 80;
const LAST = 35;

/** Returns the number of rounds in which something was wrong. */
export async function urgentRounds(rounds: number, random: Random, say: (text: string) => void): Promise<number> {
  const { python, why } = currentTorch(true);
  if (!python) {
    say(`NOT RUN: ${why}`);
    return 1;
  }
  const pick = <T>(list: readonly T[]) => list[Math.floor(random.float() * list.length)]!;
  let wrong = 0;
  try {
    let machine = await makeUrgentMachine(python);
    for (let round = 1; round <= rounds; round++) {
      // Each phase and each victim in turn; only the moment is left to chance.
      const phase = PHASES[round % PHASES.length]!;
      const atStep = 1 + Math.floor(random.float() * (STEPS - LAST));
      const victim = pick(VICTIMS);
      const { problems } = await urgentRound(machine, [[phase, victim]], atStep).catch((error: Error) => ({
        problems: [`${victim} killed when ${phase}: ${error.message}`],
      }));
      for (const problem of problems) say(`! round ${round}: ${problem}`);
      if (problems.length > 0) {
        wrong++;
        // What the round has left would hold the devices of the next ones.
        machine = await makeUrgentMachine(python);
      }
      if (round % 10 === 0) say(`${round} of ${rounds} switches, ${wrong} wrong`);
    }
  } finally {
    await runCleanups();
  }
  say(`${rounds} switches, ${wrong} wrong`);
  return wrong;
}
