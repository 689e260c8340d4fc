/**
 * Prints precision and recall of the diagnostics in Python on the labelled scripts: `npm run labelled [-- FILE…]`, or, with `--libraries`,
 * on example scripts of training libraries, which are fetched from PyPI once.
 */
import { resolve } from 'node:path';
import { labelledScripts, measure, scoreOf } from './labelled.ts';
import { measureLibraries } from './libraries.ts';

const words = process.argv.slice(2);
const files = words.filter((word) => word !== '--libraries').map((path) => resolve(path));
const measured = words.includes('--libraries')
  ? measureLibraries()
  : (files.length > 0 ? files : labelledScripts()).map(measure);
for (const { name, made, wanted } of measured) {
  const wrong = made.filter((mark) => !wanted.includes(mark));
  const missed = wanted.filter((mark) => !made.includes(mark));
  for (const mark of wrong) console.log(`false alarm: ${name}:${mark}`);
  for (const mark of missed) console.log(`missed: ${name}:${mark}`);
}
const codes = [
  ...new Set(measured.flatMap(({ made, wanted }) => [...made, ...wanted].map((mark) => mark.split(' ')[1]!))),
].sort();
console.log(`${'code'.padEnd(18)}true  false  missed  precision  recall`);
for (const code of [...codes, undefined]) {
  const score = scoreOf(measured, code);
  const counts = `${String(score.true).padStart(4)}${String(score.false).padStart(7)}${String(score.missed).padStart(8)}`;
  console.log(
    `${(code ?? 'all').padEnd(18)}${counts}${score.precision.toFixed(2).padStart(11)}${score.recall.toFixed(2).padStart(8)}`,
  );
}
console.log(
  `${measured.length} scripts, ${measured.filter(({ wanted }) => wanted.length === 0).length} of them without a mistake`,
);
