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
  // The file appears complete: editors and other processes read it as soon as it exists.
  const temporary = join(root, `${TEMPORARY_PREFIX}${randomId()}`);
  writeFileSync(temporary, `{\n  "jobs": {\n    "train": ${JSON.stringify(job)}\n  }\n}\n`, { flag: 'wx' });
  renameSync(temporary, config);
  return { config, created: true, runs: job.module ?? job.run!, why: whyChosen(script, found) };
}

function whyChosen(script: string | undefined, [first, ...others]: readonly string[]): string {
  if (script !== undefined) return 'the script that you named';
  if (first === undefined) return `a guess, since none of ${USUAL.join(', ')} exists: change it to your script`;
  return others.length > 0 ? `found ${first}; found as well: ${others.join(', ')}` : `found ${first}`;
}
