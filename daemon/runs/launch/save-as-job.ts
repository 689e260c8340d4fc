/** Saves the command of a run as a job: edits only that part of `trainstash.json`, and keeps its comments. */
import type { JobConfig } from '../../../protocol/config.ts';
import type { Run } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { maskedCount } from '../../../protocol/secrets.ts';
import { readConfig } from '../config.ts';
import { editConfig } from '../config-edit.ts';
import { splitWords } from './command.ts';

export function saveAsJob(root: string, run: Run, name = run.job): { config: string; job: string } {
  const { command } = run;
  if (!command)
    throw new TrainstashError(
      'wrongStatus',
      `${run.name} belongs to the job "${run.job}" already. Nothing was changed.`,
      {
        run: run.id,
        status: run.status,
        allowed: [],
      },
    );
  if (maskedCount(command.words) > 0)
    throw new TrainstashError(
      'commandNotKept',
      `The command of ${run.name} has a word that looks like a secret: ${command.words.join(' ')}. A secret does not belong in a committed file, so nothing was changed. Let the script read it from the environment, and save a run that was started like that.`,
      { run: run.id, masked: maskedCount(command.words) },
    );
  // This reports a file that cannot be read, before anything is changed.
  if (readConfig(root).jobs.has(name))
    throw new TrainstashError(
      'paramInvalid',
      `There is a job "${name}" already. Nothing was changed; give another name.`,
      {
        param: 'name',
        expected: 'a name that no job has',
      },
    );
  const value = { run: commandLine(command.words), ...(command.cwd === '' ? {} : { cwd: command.cwd }) };
  return { config: editConfig(root, ['jobs', name], value), job: name };
}

/** Returns the resume command, as words, of the job that a run's command was saved as; undefined without one. */
export function savedResumeCommand({ command, job }: Run, root: string): string[] | undefined {
  const savedJob = jobOrNull(root, job);
  const words = (line: string | readonly string[]) => (typeof line === 'string' ? splitWords(line) : [...line]);
  if (!command || !savedJob?.resume || !savedJob.run || (savedJob.cwd ?? '') !== command.cwd) return undefined;
  const isThatCommand = JSON.stringify(words(savedJob.run)) === JSON.stringify(command.words);
  return isThatCommand ? (words(savedJob.resume) ?? undefined) : undefined;
}

function jobOrNull(root: string, name: string): JobConfig | null {
  try {
    return readConfig(root).jobs.get(name) ?? null;
  } catch {
    return null; // A mistake in the file is no reason not to resume a run that does not come from it.
  }
}

/** Returns the command as text if splitting gives the same words again, else as a list. */
function commandLine(words: readonly string[]): string | string[] {
  const text = words
    .map((word) => (/[\s'"\\]/.test(word) || word === '' ? `'${word.replaceAll("'", "'\\''")}'` : word))
    .join(' ');
  return JSON.stringify(splitWords(text)) === JSON.stringify(words) ? text : [...words];
}
