/** Reads `trainstash.json`. Errors name file, line and fix. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  findNodeAtLocation,
  getNodeValue,
  type Node,
  type ParseError,
  parseTree,
  printParseErrorCode,
} from 'jsonc-parser';
import * as v from 'valibot';
import { type BranchesConfig, branchesSchema, CONFIG_FILE, type JobConfig, jobSchema } from '../../protocol/config.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { nearest } from '../../protocol/nearest.ts';
import type { CheckpointPolicy } from '../../protocol/session.ts';
import { splitWords } from './launch/command.ts';

export interface Config {
  /** Null when there is no file: a project needs none until it has jobs. */
  file: string | null;
  jobs: Map<string, JobConfig>;
  branches: BranchesConfig;
  warnings: string[];
}

const TOP_LEVEL = ['jobs', '$schema', ...Object.keys(branchesSchema.entries)];

export function readConfig(root: string): Config {
  const file = join(root, CONFIG_FILE);
  if (!existsSync(file)) return { file: null, jobs: new Map(), branches: v.parse(branchesSchema, {}), warnings: [] };
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new TrainstashError(
      'configInvalid',
      `${file} cannot be read (${(error as Error).message}). Nothing was started.`,
      { file },
    );
  }
  return parseConfig(file, text);
}

/** Parses a configuration; `file` serves for errors only. */
export function parseConfig(file: string, text: string): Config {
  const errors: ParseError[] = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  if (errors.length > 0 || !tree) {
    const at = positionOf(text, errors[0]?.offset ?? 0);
    const what = errors[0] ? spaced(printParseErrorCode(errors[0].error)) : 'it is empty';
    throw invalid(file, at, `it is not valid JSON: ${what}`);
  }
  if (tree.type !== 'object') throw invalid(file, positionOf(text, 0), 'it must be an object { "jobs": { … } }');
  const warnings = unknownKeys(file, text, tree, TOP_LEVEL);
  const jobs = new Map<string, JobConfig>();
  const jobsNode = findNodeAtLocation(tree, ['jobs']);
  if (jobsNode && jobsNode.type !== 'object')
    throw invalid(file, positionOf(text, jobsNode.offset), '"jobs" must be an object');
  for (const property of jobsNode?.children ?? []) {
    const [key, value] = property.children as [Node, Node];
    jobs.set(String(key.value), readJob(file, text, String(key.value), value, warnings));
  }
  return { file, jobs, branches: readBranches(file, text, tree), warnings };
}

function readBranches(file: string, text: string, tree: Node): BranchesConfig {
  const { jobs, ...value } = getNodeValue(tree) as Record<string, unknown>;
  const parsed = v.safeParse(branchesSchema, value);
  if (parsed.success) return parsed.output;
  const issue = parsed.issues[0]!;
  const path = (issue.path ?? []).map((item) => item.key as string | number);
  const place = findNodeAtLocation(tree, path) ?? tree;
  throw invalid(file, positionOf(text, place.offset), `${path.join('.')}: ${issue.message}`);
}

export function findJob(config: Config, name: string): JobConfig {
  const job = config.jobs.get(name);
  if (job) return job;
  const known = [...config.jobs.keys()];
  const suggestion = nearest(name, known);
  const list =
    known.length > 0
      ? `Known jobs: ${known.join(', ')}.`
      : config.file
        ? 'The file has no jobs.'
        : `There is no ${CONFIG_FILE}; \`trainstash init\` creates one.`;
  throw new TrainstashError(
    'jobUnknown',
    `There is no job "${name}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} ${list}`,
    { job: name, known, suggestion },
  );
}

function readJob(file: string, text: string, name: string, node: Node, warnings: string[]): JobConfig {
  const at = positionOf(text, node.offset);
  if (node.type !== 'object' && node.type !== 'string')
    throw invalid(
      file,
      at,
      `the job "${name}" must be a command or an object: "python train.py" or { "module": "train.ts" }`,
    );
  if (node.type === 'string') return checkedJob(file, at, name, v.parse(jobSchema, { run: getNodeValue(node) }));
  const known = Object.keys(jobSchema.entries);
  warnings.push(...unknownKeys(file, text, node, known, `job "${name}"`));
  const value = getNodeValue(node) as Record<string, unknown>;
  const kept = Object.fromEntries(Object.entries(value).filter(([key]) => known.includes(key)));
  const parsed = v.safeParse(jobSchema, kept);
  if (parsed.success) return checkedJob(file, at, name, parsed.output);
  const issue = parsed.issues[0]!;
  const path = (issue.path ?? []).map((item) => item.key as string | number);
  const place = findNodeAtLocation(node, path) ?? node;
  if (issue.type === 'strict_object' && issue.received === 'undefined')
    throw invalid(file, positionOf(text, place.offset), `the job "${name}" has no "${path.join('.')}"`);
  if (issue.type === 'strict_object' && path.length > 0) {
    const parent = path[0] as keyof typeof NESTED;
    const suggestion = nearest(String(path.at(-1)), NESTED[parent] ?? []);
    throw invalid(
      file,
      positionOf(text, place.offset),
      `the job "${name}" has an unknown key "${path.join('.')}"`,
      suggestion,
    );
  }
  throw invalid(
    file,
    positionOf(text, place.offset),
    `in the job "${name}", ${path.join('.') || 'the value'}: ${issue.message}`,
  );
}

function checkedJob(file: string, at: { line: number; column: number }, name: string, job: JobConfig): JobConfig {
  if ((job.module === undefined) === (job.run === undefined))
    throw invalid(
      file,
      at,
      `the job "${name}" needs either "run" (a command, such as "python train.py") or "module" (a TensorFlow.js module)`,
    );
  for (const command of [job.run, job.resume, ...Object.values(job.export)])
    if (typeof command === 'string' && !splitWords(command)?.length)
      throw invalid(file, at, `the job "${name}" has a command that is empty or has an unclosed quote`);
  return job;
}

const NESTED = { checkpoint: ['every', 'best'], keep: ['last', 'best', 'every'] };

function unknownKeys(file: string, text: string, node: Node, known: readonly string[], where = 'the file'): string[] {
  return (node.children ?? []).flatMap((property) => {
    const key = property.children![0]!;
    if (known.includes(String(key.value))) return [];
    const { line } = positionOf(text, key.offset);
    const suggestion = nearest(String(key.value), known);
    return [
      `${file}:${line}: ${where} has an unknown key "${key.value}", which is ignored${suggestion ? `; did you mean "${suggestion}"?` : ''}`,
    ];
  });
}

function invalid(
  file: string,
  at: { line: number; column: number },
  problem: string,
  suggestion?: string,
): TrainstashError {
  const hint = suggestion ? `; did you mean "${suggestion}"?` : '.';
  return new TrainstashError(
    'configInvalid',
    `${file}:${at.line}:${at.column}: ${problem}${hint} Nothing was started.`,
    { file, ...at, suggestion },
  );
}

function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
}

function spaced(code: string): string {
  return code.replace(/([a-z])([A-Z])/g, '$1 $2').toLowerCase();
}

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3600 };
/**
 * Default policy of a job that sets none: at the end of each epoch, at least every five minutes, using at most 2 % of
 * the time. The Python package has the same default.
 */
const DEFAULT_POLICY = { everySeconds: 300, everyEpochs: 1, share: 0.02 };

/** Parses `10m`, `500 steps`, `1 epoch, 5m`. Best checkpoints are taken unless switched off. */
export function checkpointPolicy(job: Pick<JobConfig, 'checkpoint'>): CheckpointPolicy {
  const policy: CheckpointPolicy = {
    everySeconds: 0,
    everySteps: null,
    everyEpochs: null,
    onBest: job.checkpoint.best ?? true,
  };
  if (job.checkpoint.every === undefined) return { ...policy, ...DEFAULT_POLICY };
  for (const [, number, unit] of job.checkpoint.every.matchAll(/(\d+(?:\.\d+)?)\s*(steps?|epochs?|s|m|h)/g)) {
    const amount = Number(number);
    if (unit!.startsWith('step')) policy.everySteps = Math.max(1, Math.round(amount));
    else if (unit!.startsWith('epoch')) policy.everyEpochs = Math.max(1, Math.round(amount));
    else policy.everySeconds = amount * UNIT_SECONDS[unit!]!;
  }
  return policy;
}
