/** Lists the jobs of a project's `trainstash.json`. */
import { posix } from 'node:path';
import { isPython } from '../../base/python-words.ts';
import type { JobConfig } from '../../protocol/config.ts';
import type { Params } from '../../protocol/domain.ts';
import { maskParams, maskText } from '../../protocol/secrets.ts';
import { readConfig } from './config.ts';
import { splitWords } from './launch/command.ts';

export function jobsOf(root: string) {
  const { file, jobs, warnings } = readConfig(root);
  return {
    file,
    warnings,
    jobs: [...jobs].map(([name, job]) => ({
      name,
      what: maskText(whatOf(job)),
      python: isPythonJob(job),
      script: scriptOf(job),
      params: maskParams(job.params as Params) as never,
    })),
  };
}

function whatOf({ module, run }: JobConfig): string {
  return module ?? (typeof run === 'string' ? run : (run ?? []).join(' '));
}

function isPythonJob({ run }: JobConfig): boolean {
  const [program] = wordsOf(run);
  return program !== undefined && isPython(program);
}

/** Returns the path, relative to the project, of the script or module that a job runs; null: it runs none. */
function scriptOf({ module, run, cwd }: JobConfig): string | null {
  const script = module ?? wordsOf(run).find((word) => /\.(py|ipynb)$/.test(word));
  if (script === undefined) return null;
  const path = posix.normalize(posix.join(module === undefined ? (cwd ?? '') : '', script.replaceAll('\\', '/')));
  return path.startsWith('..') ? null : maskText(path);
}

function wordsOf(run: JobConfig['run']): readonly string[] {
  return typeof run === 'string' ? (splitWords(run) ?? []) : (run ?? []);
}
