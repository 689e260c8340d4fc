/** Reads `trainstash.json`. Errors name file, line and fix. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { type BranchesConfig, branchesSchema, type JobConfig, type OfferedRemote } from '../../protocol/config.ts';
import { CONFIG_FILE, CONFIG_FILES } from '../../protocol/config-file.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { nearest } from '../../protocol/nearest.ts';
import type { PushPolicy } from '../../protocol/pushing.ts';
import type { CheckpointPolicy } from '../../protocol/session.ts';
import { checkConfig } from './config-checks.ts';

export interface Config {
  /** Null when there is no file: a project needs none until it has jobs. */
  file: string | null;
  jobs: Map<string, JobConfig>;
  branches: BranchesConfig;
  warnings: string[];
}

/** Returns the path of a project's configuration: of the one that is there, or that would be made. */
export function configPath(root: string): string {
  const name = CONFIG_FILES.find((one) => existsSync(join(root, one)));
  return join(root, name ?? CONFIG_FILE);
}

export function readConfig(root: string): Config {
  const file = configPath(root);
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
  const config = parseConfig(file, text);
  const others = CONFIG_FILES.map((name) => join(root, name)).filter((path) => path !== file && existsSync(path));
  config.warnings.push(...others.map((path) => `${path} is not read, since ${CONFIG_FILE} is there`));
  return config;
}

/** Parses a configuration; `file` serves for errors only. Throws `configInvalid` with the first mistake that is refused. */
export function parseConfig(file: string, text: string): Config {
  const { problems, jobs, branches } = checkConfig(text);
  const refused = problems.find((problem) => problem.refused);
  if (refused) {
    const at = positionOf(text, refused.offset);
    const suggestion = refused.replacement && String(JSON.parse(refused.replacement));
    throw new TrainstashError(
      'configInvalid',
      `${file}:${at.line}:${at.column}: ${refused.text}${refused.text.endsWith('?') ? '' : '.'} Nothing was started.`,
      { file, ...at, suggestion },
    );
  }
  const warnings = problems.map(({ offset, text: what }) => `${file}:${positionOf(text, offset).line}: ${what}`);
  return { file, jobs, branches, warnings };
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

function positionOf(text: string, offset: number): { line: number; column: number } {
  const before = text.slice(0, offset).split('\n');
  return { line: before.length, column: before.at(-1)!.length + 1 };
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

/** Returns where a job's checkpoints are sent; null: it says nothing. */
export function pushPolicy({ push, keep }: Pick<JobConfig, 'push' | 'keep'>): PushPolicy | null {
  if (!push) return null;
  const [, number, unit] = /(\d+(?:\.\d+)?)\s*([smh])/.exec(push.every ?? '') ?? [];
  const everySeconds = number ? Number(number) * UNIT_SECONDS[unit!]! : 0;
  return { to: push.to, which: push.which, everySeconds, keep: keep.remote ?? null };
}

export interface Offered extends OfferedRemote {
  name: string;
  /** Jobs that push to it. */
  jobs: string[];
}

/** Lists the remotes that a project's configuration offers; none if it cannot be read. */
export function offeredBy(root: string): Offered[] {
  let config: Config;
  try {
    config = readConfig(root);
  } catch {
    // A mistake in the file is told where it matters.
    return [];
  }
  return Object.entries(config.branches.remotes).map(([name, remote]) => ({
    name,
    ...remote,
    jobs: [...config.jobs].filter(([, { push }]) => push?.to === name && push.which !== 'none').map(([job]) => job),
  }));
}
