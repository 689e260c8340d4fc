/** `npm run chaos -- --kills N [--seed S]`: as many kills as wanted, and a third more while branches switch; the last line says what they did. */
import { parseArgs } from 'node:util';
import { Random } from '../../daemon/trainer/random.ts';
import { makeRepository } from '../support/repository.ts';
import { standaloneFixture } from './fixture.ts';
import { chaosRounds } from './rounds.ts';
import { prepareBranches, switchRounds } from './switches.ts';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '900' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now());
console.log(`seed ${seed}`);
const { fixture, dispose } = standaloneFixture();
try {
  const report = await chaosRounds(fixture, Number(values.kills), seed, (text) => console.log(text));
  // A third as many again while branches switch.
  const switchKills = Math.ceil(Number(values.kills) / 3);
  const repository = await makeRepository();
  await prepareBranches(repository);
  const random = Random.seeded(seed);
  report.losses.push(...(await switchRounds(repository, switchKills, () => random.float())));
  report.kills += switchKills;
  console.log(`${switchKills} kills while branches switched`);
  for (const text of [...report.losses, ...report.inexact]) console.log(`! ${text}`);
  console.log(`${report.kills} kills, ${report.losses.length} losses, ${report.inexact.length} inexact resumes`);
  process.exitCode = report.losses.length + report.inexact.length > 0 ? 1 : 0;
} finally {
  await dispose();
}
