/** `npm run chaos -- --kills N [--seed S]`: as many kills as wanted; the last line says what they did. */
import { parseArgs } from 'node:util';
import { standaloneFixture } from './fixture.ts';
import { chaosRounds } from './rounds.ts';

const { values } = parseArgs({ options: { kills: { type: 'string', default: '100' }, seed: { type: 'string' } } });
const seed = Number(values.seed ?? Date.now());
console.log(`seed ${seed}`);
const { fixture, dispose } = standaloneFixture();
try {
  const report = await chaosRounds(fixture, Number(values.kills), seed, (text) => console.log(text));
  for (const text of [...report.losses, ...report.inexact]) console.log(`! ${text}`);
  console.log(`${report.kills} kills, ${report.losses.length} losses, ${report.inexact.length} inexact resumes`);
  process.exitCode = report.losses.length + report.inexact.length > 0 ? 1 : 0;
} finally {
  await dispose();
}
