/** `npm run chaos -- rollback [--rounds N] [--seed S]`: runs that roll back again and again, with kills in the middle of it. */
import type { Random } from '../../trainer/random.ts';
import { runCleanups } from '../support/cleanup.ts';
import { makeRollbackMachine, rollbackRound } from '../support/rollback-rounds.ts';

const KILLS = 8;

/** Returns what was wrong, and the number of kills. */
export async function rollbackRounds(
  rounds: number,
  random: Random,
  say: (text: string) => void,
): Promise<{ kills: number; losses: string[] }> {
  const report = { kills: 0, losses: [] as string[] };
  try {
    const machine = await makeRollbackMachine();
    for (let round = 1; round <= rounds; round++) {
      const { problems, kills } = await rollbackRound(machine, KILLS, () => random.float()).catch((error: Error) => ({
        problems: [error.message],
        kills: 0,
      }));
      report.kills += kills;
      report.losses.push(...problems.map((problem) => `round ${round}: ${problem}`));
      say(`rollbacks, round ${round}: ${report.kills} kills, ${report.losses.length} wrong`);
    }
  } finally {
    await runCleanups();
  }
  return report;
}
