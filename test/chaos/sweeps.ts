/** `npm run chaos -- sweep [--rounds N]`: sweeps of 30 runs with pruning, whose daemon is killed three times. */
import { optuna } from '../../scripts/python-environments.ts';
import { runCleanups } from '../support/cleanup.ts';
import { killedSweep } from '../support/sweep-rounds.ts';

const RUNS = 30;
const KILLS = 3;

/** Returns the number of sweeps in which something was wrong. */
export async function sweepRounds(rounds: number, say: (text: string) => void): Promise<number> {
  const { python, why } = optuna(true);
  if (!python) {
    say(`NOT RUN: ${why}`);
    return 1;
  }
  let wrong = 0;
  for (let round = 1; round <= rounds; round++) {
    const problems = await killedSweep(python, RUNS, KILLS)
      .catch((error: Error) => [error.message])
      .finally(() => runCleanups());
    for (const problem of problems) say(`! sweep ${round}: ${problem}`);
    if (problems.length > 0) wrong++;
  }
  say(`${rounds} sweeps of ${RUNS} runs with ${KILLS} kills each, ${wrong} wrong`);
  return wrong;
}
