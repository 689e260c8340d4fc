/** The jobs of a project's `trainstash.json`, and a first one. */
import { existsSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CONFIG_FILE, type JobConfig } from '../../protocol/config.ts';
import { randomId } from '../../protocol/ids.ts';
import { TEMPORARY_PREFIX } from '../store/files.ts';
import { splitWords } from './command.ts';
import { readConfig } from './config.ts';
import { isPython } from './interpreter.ts';

export function initProject(root: string, module: string | undefined): { config: string; created: boolean } {
  const config = join(root, CONFIG_FILE);
  if (existsSync(config)) return { config, created: false };
  const usual = ['train.py', 'src/train.py', 'main.py', 'train.ts', 'train.js', 'src/train.ts'];
  const chosen = module ?? usual.find((path) => existsSync(join(root, path))) ?? 'train.py';
  const job = /\.[cm]?[jt]s$/.test(chosen) ? { module: chosen } : { run: `python ${chosen}` };
  // Appears whole: editors and other processes read it as soon as it is there.
  const temporary = join(root, `${TEMPORARY_PREFIX}${randomId()}`);
  writeFileSync(temporary, `{\n  "jobs": {\n    "train": ${JSON.stringify(job)}\n  }\n}\n`, { flag: 'wx' });
  renameSync(temporary, config);
  return { config, created: true };
}

export function jobsOf(root: string) {
  const { file, jobs, warnings } = readConfig(root);
  return {
    file,
    warnings,
    jobs: [...jobs].map(([name, job]) => ({
      name,
      what: whatOf(job),
      python: isPythonJob(job),
      params: job.params as never,
    })),
  };
}

function whatOf({ module, run }: JobConfig): string {
  return module ?? (typeof run === 'string' ? run : (run ?? []).join(' '));
}

function isPythonJob({ run }: JobConfig): boolean {
  const [program] = typeof run === 'string' ? (splitWords(run) ?? []) : (run ?? []);
  return program !== undefined && isPython(program);
}
