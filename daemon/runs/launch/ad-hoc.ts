/** Runs that were started from a command line and have no job. */
import * as v from 'valibot';
import { type JobConfig, jobSchema } from '../../../protocol/config.ts';
import type { Params, ParamValue, Run } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { isMasked, maskedCount } from '../../../protocol/secrets.ts';
import { hasMask } from './secret-params.ts';

/** Makes the job of a command. Its params are words of the command already, so none is appended. */
export function jobOfCommand(words: readonly string[], cwd: string): JobConfig {
  return v.parse(jobSchema, { run: [...words], args: 'none', ...(cwd === '' ? {} : { cwd }) });
}

/** Makes the job of a run that has none. `words` are the real words, where the record has masks. */
export function jobOfRun(run: Run, words: readonly string[] | undefined): JobConfig {
  const { command } = run;
  if (!command)
    throw new TrainstashError('jobUnknown', `${run.name} has neither a job nor a command.`, {
      job: run.job,
      known: [],
    });
  const masked = maskedCount(command.words);
  if (!words && masked > 0)
    throw new TrainstashError(
      'commandNotKept',
      `${run.name} was started with ${masked === 1 ? 'a word that looks' : `${masked} words that look`} like a secret, which was not kept: ${command.words.join(' ')}. Nothing was started. Give the command again: \`trainstash resume ${run.number} -- COMMAND\`.`,
      { run: run.id, masked },
    );
  const real = words ?? command.words;
  return jobOfCommand(withParams(real, paramsGiven(run, run.params)), command.cwd);
}

/**
 * Selects the params that the command's words name or that the user set, without those that the script reported itself.
 */
export function paramsGiven(run: Run, params: Params): Params {
  const names = new Set([...Object.keys(paramsOf(run.command?.words ?? [])), ...run.overrides]);
  return Object.fromEntries(Object.entries(params).filter(([name]) => names.has(name)));
}

const FLAG = /^--?([A-Za-z][\w.-]*)$/;
const ASSIGNED = /^(?:--?)?([A-Za-z][\w.-]*)=(.*)$/;

/** Parses the params of a command line: `--lr 0.1`, `--lr=0.1`, `lr=0.1`, `--fp16`. Leaves out secrets. */
export function paramsOf(words: readonly string[]): Params {
  const params: Params = {};
  for (const { name, value } of settings(words)) if (!isMasked(value)) params[name] = value;
  return params;
}

/** Replaces the values in a command's words with the params' values; appends a param that no word names. */
export function withParams(words: readonly string[], params: Params): string[] {
  const changed = [...words];
  const named = new Set<string>();
  for (const { name, value, at, inWord } of settings(words)) {
    named.add(name);
    const wanted = params[name];
    if (wanted === undefined || hasMask(wanted) || JSON.stringify(wanted) === JSON.stringify(value)) continue;
    const text = typeof wanted === 'string' ? wanted : JSON.stringify(wanted);
    if (inWord) changed[at] = `${words[at]!.slice(0, words[at]!.indexOf('=') + 1)}${text}`;
    else if (typeof value !== 'boolean') changed[at] = text;
  }
  for (const [name, value] of Object.entries(params)) {
    if (named.has(name) || value === false || value === null || hasMask(value)) continue;
    changed.push(`--${name}`, ...(value === true ? [] : [typeof value === 'string' ? value : JSON.stringify(value)]));
  }
  return changed;
}

function settings(words: readonly string[]): { name: string; value: ParamValue; at: number; inWord: boolean }[] {
  const found: { name: string; value: ParamValue; at: number; inWord: boolean }[] = [];
  // Words before the script belong to the interpreter.
  const script = words.findIndex((word, i) => i > 0 && !word.startsWith('-'));
  for (let i = Math.max(1, script + 1); i < words.length; i++) {
    const word = words[i]!;
    const assigned = ASSIGNED.exec(word);
    const flag = FLAG.exec(word);
    if (assigned) found.push({ name: assigned[1]!, value: parsed(assigned[2]!), at: i, inWord: true });
    else if (flag) {
      const next = words[i + 1];
      const isFlag = next === undefined || (next.startsWith('-') && !/^-\.?\d/.test(next));
      found.push({ name: flag[1]!, value: isFlag ? true : parsed(next), at: isFlag ? i : i + 1, inWord: false });
      if (!isFlag) i++;
    }
  }
  return found;
}

function parsed(text: string): ParamValue {
  return /^-?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : text;
}
