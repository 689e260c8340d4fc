/** Checks of jobs against what lies beside the file: scripts, placeholders, metrics of runs. `run` meets them only once it starts a job. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findNodeAtLocation, type Node } from 'jsonc-parser';
import type { Run } from '../../../protocol/domain.ts';
import { nearest } from '../../../protocol/nearest.ts';
import { monitorOf } from '../../../protocol/records.ts';
import { type CheckedConfig, propertiesOf } from '../../runs/config-checks.ts';
import { PLACEHOLDERS, paramAt, paramMeant, placeholdersIn } from '../../runs/launch/command.ts';
import { shellWord } from '../../runs/launch/shell-syntax.ts';
import type { Code } from '../codes.ts';
import { type CommandText, commandsIn, filesBeside, isFile, scriptOf } from './commands.ts';

export interface JobProblem {
  code: Code;
  offset: number;
  length: number;
  text: string;
  /** Text that was probably meant in this place. */
  replacement?: string;
}

/** Finds what will go wrong once a job is started. `root`: null for a file that has no folder; `runs` are those of the project. */
export function jobProblems(checked: CheckedConfig, root: string | null, runs: readonly Run[]): JobProblem[] {
  const seen: Seen = new Map();
  const commands = commandsIn(checked).filter(({ words }) => words.length > 0);
  return [
    ...commands.flatMap((command) => [
      ...placeholders(checked, command),
      ...shell(command),
      ...(root ? script(root, command, seen) : []),
    ]),
    ...commands.filter(({ kind }) => kind === 'resume').flatMap(withoutCheckpoint),
    ...(root ? modules(checked, root) : []),
    ...metrics(checked, runs),
  ].sort((a, b) => a.offset - b.offset);
}

function placeholders({ jobs }: CheckedConfig, { job, kind, words }: CommandText): JobProblem[] {
  const known: readonly string[] = PLACEHOLDERS[kind];
  return words.flatMap(({ text, offset, length }) =>
    placeholdersIn(text).flatMap((found): JobProblem[] => {
      // A word between quotes may have lost characters, and then only the word's own place is known.
      const place =
        length === text.length ? { offset: offset + found.offset, length: found.whole.length } : { offset, length };
      if (found.param !== null) {
        const params = jobs.get(job)?.params;
        if (!params || paramAt(params as never, found.param) !== undefined) return [];
        const near = nearest(found.param, Object.keys(params));
        const hint = near ? `; did you mean \${params.${near}}?` : '';
        return [
          {
            code: 'configParam',
            ...place,
            text: `"params" of the job "${job}" has no "${found.param}", so each run has to be given one (-p ${found.param}=…)${hint}`,
            ...(near ? { replacement: `\${params.${near}}` } : {}),
          },
        ];
      }
      if (known.includes(found.name)) return [];
      const near = paramMeant(found.name, jobs.get(job)?.params as never) ?? nearest(found.name, known);
      const elsewhere = Object.entries(PLACEHOLDERS).filter(([, names]) =>
        (names as readonly string[]).includes(found.name),
      );
      const text_ =
        elsewhere.length > 0
          ? `${found.whole} has a value only in ${elsewhere.map(([one]) => `"${one}"`).join(' and ')}`
          : `${found.whole} is no placeholder; here ${listed([...known, 'params.NAME'].map((name) => `\${${name}}`))} are${near ? `; did you mean \${${near}}?` : ''}`;
      return [{ code: 'configPlaceholder', ...place, text: text_, ...(near ? { replacement: `\${${near}}` } : {}) }];
    }),
  );
}

function shell({ words }: CommandText): JobProblem[] {
  const found = shellWord(words.map(({ text }) => text));
  if (found === undefined) return [];
  const word = words.find(({ text }) => text === found)!;
  const text = `"${found}" is for a shell, and commands run without one; write a script, or start one: bash -c '…'${found === 'cd' ? '. For the folder there is "cwd"' : ''}`;
  return [{ code: 'configShell', offset: word.offset, length: word.length, text }];
}

/** Names that were found for missing files of this text: many jobs may miss the same one. */
type Seen = Map<string, string | undefined>;

function nearestFile(seen: Seen, base: string, typed: string): string | undefined {
  const path = join(base, typed);
  if (!seen.has(path)) {
    const files = filesBeside(base, typed, /\.\w+$/).filter((one) => !one.endsWith('/'));
    seen.set(path, nearest(typed, files));
  }
  return seen.get(path);
}

function script(root: string, command: CommandText, seen: Seen): JobProblem[] {
  const found = scriptOf(root, command);
  if (!found || found.file !== null) return [];
  const { word, kind } = found;
  const where = command.cwd === '' ? 'the project' : `"${command.cwd}"`;
  const base = join(root, command.cwd);
  if (command.cwd !== '' && !existsSync(base)) return [];
  const near = kind === 'file' ? nearestFile(seen, base, word.text) : undefined;
  return [
    {
      code: 'configScript',
      offset: word.offset,
      length: word.length,
      text: `${where} has no ${kind === 'file' ? 'file' : 'module'} ${word.text}${near ? `; did you mean ${near}?` : ''}`,
      ...(near ? { replacement: near } : {}),
    },
  ];
}

function withoutCheckpoint({ words, node }: CommandText): JobProblem[] {
  const named = words.flatMap(({ text }) => placeholdersIn(text).map(({ name }) => name));
  if (named.includes('checkpoint') || named.includes('stem')) return [];
  const text = '"resume" names neither ${checkpoint} nor ${stem}, so its script has to find the file to load by itself';
  return [{ code: 'configResume', offset: node.offset, length: node.length, text }];
}

function modules(checked: CheckedConfig, root: string): JobProblem[] {
  return jobNodes(checked).flatMap(({ value }): JobProblem[] => {
    const module = value.type === 'object' ? findNodeAtLocation(value, ['module']) : undefined;
    if (module?.type !== 'string' || isFile(join(root, String(module.value)))) return [];
    const near = nearest(String(module.value), filesBeside(root, String(module.value), /\.[cm]?[jt]s$/));
    return [
      {
        code: 'configModule',
        offset: module.offset + 1,
        length: module.length - 2,
        text: `the project has no file ${module.value}${near ? `; did you mean ${near}?` : ''}`,
        ...(near ? { replacement: near } : {}),
      },
    ];
  });
}

/** Keys whose values name a metric. */
const METRIC_PLACES = [
  ['keep', 'best'],
  ['sweep', 'metric'],
] as const;

/** Finds names of metrics that no run of the job has logged. Without a run that logged something, every name may be right. */
function metrics(checked: CheckedConfig, runs: readonly Run[]): JobProblem[] {
  const places = jobNodes(checked).flatMap((job) => METRIC_PLACES.map((path) => ({ ...job, path })));
  return places.flatMap(({ key, value, path }): JobProblem[] => {
    const best = value.type === 'object' ? findNodeAtLocation(value, [...path]) : undefined;
    if (best?.type !== 'string') return [];
    const known = metricNames(runs, String(key.value));
    const { metric } = monitorOf(String(best.value));
    const mode = String(best.value).slice(0, -metric.length);
    if (known.length === 0 || known.includes(metric)) return [];
    const near = nearest(metric, known);
    const meant = near && `${mode}${near}`;
    return [
      {
        code: 'configMetric',
        offset: best.offset + 1,
        length: best.length - 2,
        text: `no run of "${key.value}" has logged a metric "${metric}" so far${meant ? `; did you mean "${meant}"?` : `; they have ${listed(known.slice(0, 8))}`}`,
        ...(meant ? { replacement: meant } : {}),
      },
    ];
  });
}

/** Lists the metrics that runs of a job have logged, the newest run's first. */
export function metricNames(runs: readonly Run[], job: string): string[] {
  return [...new Set(runs.filter((run) => run.job === job).flatMap((run) => Object.keys(run.metrics)))];
}

function jobNodes({ tree }: CheckedConfig): { key: Node; value: Node }[] {
  const jobs = tree && findNodeAtLocation(tree, ['jobs']);
  return jobs?.type === 'object' ? propertiesOf(jobs) : [];
}

function listed(names: readonly string[]): string {
  return names.length <= 1 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}
