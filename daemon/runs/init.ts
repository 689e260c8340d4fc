/** Makes the first trainstash.json of a project. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { TEMPORARY_PREFIX } from '../../base/files.ts';
import { randomId } from '../../protocol/ids.ts';
import type { Initialised } from '../../protocol/messages/project.ts';
import { configPath } from './config.ts';

const USUAL = ['train.py', 'src/train.py', 'main.py', 'train.ts', 'train.js', 'src/train.ts'];

export function initProject(root: string, script: string | undefined): Initialised {
  const config = configPath(root);
  if (existsSync(config)) return { config, created: false, runs: null, why: null };
  const found = USUAL.filter((path) => existsSync(join(root, path)));
  const chosen = script ?? found[0] ?? USUAL[0]!;
  const job = /\.[cm]?[jt]s$/.test(chosen) ? { module: chosen } : { run: `python ${chosen}` };
  const [[key, value]] = Object.entries(job) as [[string, string]];
  // The file appears complete: editors and other processes read it as soon as it exists.
  const temporary = join(root, `${TEMPORARY_PREFIX}${randomId()}`);
  writeFileSync(temporary, textOf(key, value), { flag: 'wx' });
  renameSync(temporary, config);
  return { config, created: true, runs: value, why: whyChosen(script, found) };
}

/** Returns the file, with the usual cadence spelled out and the other choices as comments that can be uncommented as they are. */
function textOf(key: string, value: string): string {
  const isModule = key === 'module';
  const starts = isModule
    ? ['// A TensorFlow.js training.']
    : ['// A leading `python` is the interpreter that the editor has selected, or that of .venv.'];
  const passed = isModule ? '' : ' The command gets them as --lr 0.1.';
  const who = isModule
    ? []
    : ['// This needs the Python package in the script. Others save by themselves, and their files are kept.'];
  const lines = [
    ...starts,
    `${JSON.stringify(key)}: ${JSON.stringify(value)},`,
    `// Values to change from run to run.${passed}`,
    '// "params": { "lr": 0.1 },',
    '// Checkpoints that stay: the newest three, and the best if a metric is named ("max:val_accuracy" for the highest).',
    '// "keep": { "last": 3, "best": "val_loss" },',
    '// A loss that is NaN or infinite pauses the run, which can be resumed from its newest good checkpoint.',
    '// "onNaN": "pause",',
    '// A checkpoint after each epoch, and at least every five minutes. Also possible: "90s", "500 steps", "2 epochs".',
    ...who,
    '"checkpoint": { "every": "1 epoch, 5m" }',
  ];
  return `{
  "jobs": {
    // Started by its name: in the editor's list of jobs, or by \`trainstash run train\`.
    "train": {
${lines.map((line) => `      ${line}`).join('\n')}
    }
  }
}
`;
}

function whyChosen(script: string | undefined, [first, ...others]: readonly string[]): string {
  if (script !== undefined) return 'the script that you named';
  if (first === undefined) return `a guess, since none of ${USUAL.join(', ')} exists: change it to your script`;
  return others.length > 0 ? `found ${first}; found as well: ${others.join(', ')}` : `found ${first}`;
}
