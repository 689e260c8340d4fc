/** `npm run chaos -- --kills N [--seed S]`: kills as often as requested, a third more while branches switch, and on failing disks. `-- urgent` instead interrupts runs. The last line has the result. */
import { parseArgs } from 'node:util';
import { Random } from '../../trainer/random.ts';
import { makeRepository } from '../support/repository.ts';
import { commandRounds } from './commands.ts';
import { diskRounds } from './failing-disk.ts';
import { standaloneFixture } from './fixture.ts';
import { chaosRounds } from './rounds.ts';
import { prepareBranches, switchRounds } from './switches.ts';
import { urgentRounds } from './urgent.ts';

/** Number of kills that take as long as one fault of a disk. */
const KILLS_A_FAULT = 15;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    kills: { type: 'string', default: '900' },
    rounds: { type: 'string', default: '200' },
    seed: { type: 'string' },
  },
});
const kills = Number(values.kills);
const seed = Number(values.seed ?? Date.now());
console.log(`seed ${seed}`);
if (positionals[0] === 'urgent') {
  const wrong = await urgentRounds(Number(values.rounds), Random.seeded(seed), (text) => console.log(text));
  process.exit(wrong > 0 ? 1 : 0);
}
const { fixture, dispose } = standaloneFixture();
try {
  const report = await chaosRounds(fixture, kills, seed, (text) => console.log(text));
  // A third more kills while branches switch.
  const switchKills = Math.ceil(kills / 3);
  const repository = await makeRepository();
  await prepareBranches(repository);
  const random = Random.seeded(seed);
  report.losses.push(...(await switchRounds(repository, switchKills, () => random.float())));
  report.kills += switchKills;
  console.log(`${switchKills} kills while branches switched`);
  // A tenth more with trainings that know nothing of Trainstash.
  const onCommands = await commandRounds(Math.ceil(kills / 10), random, (text) => console.log(text));
  for (const name of ['losses', 'inexact'] as const) report[name].push(...onCommands[name]);
  report.kills += onCommands.kills;
  const faults = Math.ceil(kills / KILLS_A_FAULT);
  const onDisk = await diskRounds(faults, random, (text) => console.log(text));
  if (onDisk) {
    for (const name of ['losses', 'inexact'] as const) report[name].push(...onDisk[name]);
    report.kills += onDisk.kills;
    console.log(`${faults} times a disk was full, slow, failing, read-only or without power`);
  } else console.log('NOT RUN: failing disks, since this user cannot mount a file system here');
  const { hurt } = onCommands;
  for (const text of [...report.losses, ...report.inexact, ...hurt]) console.log(`! ${text}`);
  console.log(
    `${report.kills} kills, ${report.losses.length} losses, ${report.inexact.length} inexact resumes, ${hurt.length} trainings hurt`,
  );
  process.exitCode = report.losses.length + report.inexact.length + hurt.length > 0 ? 1 : 0;
} finally {
  await dispose();
}
