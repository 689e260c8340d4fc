/** Lists the jobs of a project's `trainstash.json`. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Params } from '../../protocol/domain.ts';
import { maskParams, maskText } from '../../protocol/secrets.ts';
import { readConfig } from './config.ts';
import { splitWords } from './launch/command.ts';
import { isPython } from './launch/interpreter.ts';

export function jobsOf(root: string) {
  const { file, jobs, warnings } = readConfig(root);
  return {
    file,
    warnings,
    jobs: [...jobs].map(([name, job]) => ({
      name,
      what: maskText(whatOf(job)),
      python: isPythonJob(job),
      params: maskParams(job.params as Params) as never,
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
