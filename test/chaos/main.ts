/**
 * `npm run chaos -- --kills N [--seed S]`: kills as often as requested, a third more while branches switch, in the middle of rollbacks, and
 * on failing disks. `-- urgent` instead interrupts runs, `-- sweep` kills the daemon during sweeps, `-- rollback` has only
 * rollbacks, and `-- commands` only scripts with hostile files and non-finite metrics. The last line has the result.
 */
import { parseArgs } from 'node:util';
import { Random } from '../../trainer/random.ts';
import { runCleanups } from '../support/cleanup.ts';
import { makeRepository } from '../support/repository.ts';
import { type CommandReport, commandRounds } from './commands.ts';
import { diskRounds } from './failing-disk.ts';
import { standaloneFixture } from './fixture.ts';
import { rollbackRounds } from './rollbacks.ts';
import { chaosRounds } from './rounds.ts';
import { sweepRounds } from './sweeps.ts';
import { prepareBranches, switchRounds } from './switches.ts';
import { urgentRounds } from './urgent.ts';

/** Number of kills that take as long as one fault of a disk. */
const KILLS_A_FAULT = 15;

/** Number of kills in a run that rolls back. */
const KILLS_A_ROLLBACK = 5;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kills: { type: 'string', default: '900' },
    rounds: { type: 'string' },
    seed: { type: 'string' },
  },
});
const say = (text: string) => console.log(text);
const kills = Number(values.kills);
const seed = Number(values.seed ?? Date.now());
console.log(`seed ${seed}`);
if (positionals[0] === 'urgent') {
  const wrong = await urgentRounds(Number(values.rounds ?? 200), Random.seeded(seed), say);
  process.exit(wrong > 0 ? 1 : 0);
}
if (positionals[0] === 'sweep') {
  const wrong = await sweepRounds(Number(values.rounds ?? 1), say);
  process.exit(wrong > 0 ? 1 : 0);
}
if (positionals[0] === 'rollback') {
  const { kills: hit, losses } = await rollbackRounds(Number(values.rounds ?? 20), Random.seeded(seed), say);
  for (const text of losses) say(`! ${text}`);
  say(`${hit} kills during rollbacks, ${losses.length} wrong`);
  process.exit(losses.length > 0 ? 1 : 0);
}
if (positionals[0] === 'commands') {
  const report = await commandRounds(kills, Random.seeded(seed), say);
  await runCleanups();
  process.exit(tell(report));
}
const { fixture, dispose } = standaloneFixture();
try {
  const report = await chaosRounds(fixture, kills, seed, say);
  // A third more kills while branches switch.
  const switchKills = Math.ceil(kills / 3);
  const repository = await makeRepository();
  await prepareBranches(repository);
  const random = Random.seeded(seed);
  report.losses.push(...(await switchRounds(repository, switchKills, () => random.float())));
  report.kills += switchKills;
  console.log(`${switchKills} kills while branches switched`);
  // A tenth more with trainings that know nothing of Trainstash.
  const onCommands = await commandRounds(Math.ceil(kills / 10), random, say);
  for (const name of ['losses', 'inexact'] as const) report[name].push(...onCommands[name]);
  report.kills += onCommands.kills;
  // And a tenth more while runs roll back.
  const onRollbacks = await rollbackRounds(Math.ceil(kills / 10 / KILLS_A_ROLLBACK), random, say);
  report.losses.push(...onRollbacks.losses);
  report.kills += onRollbacks.kills;
  const faults = Math.ceil(kills / KILLS_A_FAULT);
  const onDisk = await diskRounds(faults, random, say);
  if (onDisk) {
    for (const name of ['losses', 'inexact'] as const) report[name].push(...onDisk[name]);
    report.kills += onDisk.kills;
    console.log(`${faults} times a disk was full, slow, failing, read-only or without power`);
  } else console.log('NOT RUN: failing disks, since this user cannot mount a file system here');
  process.exitCode = tell({ ...report, hurt: onCommands.hurt });
} finally {
  await dispose();
}

/** Prints all faults and the result, and returns the exit code. */
function tell({ kills, losses, inexact, hurt }: CommandReport): number {
  for (const text of [...losses, ...inexact, ...hurt]) say(`! ${text}`);
  say(`${kills} kills, ${losses.length} losses, ${inexact.length} inexact resumes, ${hurt.length} trainings hurt`);
  return losses.length + inexact.length + hurt.length > 0 ? 1 : 0;
}
