/** Decides what a sweep does, from a request and from the `sweep` of its job. Throws `paramInvalid`, `paramUnknown`, `sweepLarge`. */
import type { JobConfig } from '../../protocol/config.ts';
import type { Monitor, Params, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { nearest } from '../../protocol/nearest.ts';
import { monitorOf } from '../../protocol/records.ts';
import {
  ASKED_ABOVE,
  MOST_RUNS,
  type PRUNERS,
  type Range,
  repeatedIn,
  type Sampler,
  type SweepConfig,
  type SweepPlan,
} from '../../protocol/sweep.ts';
import { integer } from '../../protocol/words.ts';
import { combinationsOf } from './space.ts';

export interface PlanRequest {
  job: string;
  set?: Record<string, Range> | undefined;
  params?: Params | undefined;
  sampler?: Sampler | undefined;
  samples?: number | undefined;
  metric?: string | undefined;
  pruner?: (typeof PRUNERS)[number] | undefined;
  minSteps?: number | undefined;
  seed?: number | undefined;
  parallel?: number | undefined;
  accept?: boolean | undefined;
}

/** Param that also is the seed of each run. */
const SEED = 'seed';
const NO_CONFIG: SweepConfig = { params: {}, seed: 0, algorithm: 'tpe' };

/** `earlier`: newest runs of the job, whose params tell which ones there are. */
export function planOf(request: PlanRequest, job: JobConfig, earlier: readonly Run[]): SweepPlan {
  // Values that are given without anything else are all that varies: a grid of them.
  const isOwnGrid = request.set !== undefined && request.samples === undefined && request.sampler === undefined;
  const config = { ...NO_CONFIG, ...job.sweep };
  const params = isOwnGrid ? request.set! : { ...config.params, ...request.set };
  requireSpace(params, request.job);
  requireKnown([...Object.keys(params), ...Object.keys(request.params ?? {})], job, request.job, earlier);
  const both = Object.keys(request.params ?? {}).find((name) => name in params);
  if (both !== undefined) throw invalid(both, `"${both}" is given once as a fixed value and once as one that varies`);
  const sampler = isOwnGrid ? 'grid' : samplerOf(request, config);
  const samples = request.samples ?? config.samples;
  const metric = request.metric ?? config.metric ?? job.keep.best;
  const pruner = prunerOf(request, config, sampler);
  if (sampler === 'optuna' && metric === undefined)
    throw invalid(
      'metric',
      'Optuna needs a metric to judge runs by: --metric val_loss, or "metric" in the job’s "sweep"',
    );
  const runs = numberOfRuns(params, sampler, samples);
  if (runs > ASKED_ABOVE && !request.accept)
    throw new TrainstashError('sweepLarge', `The sweep has ${integer(runs)} runs. Nothing was started yet.`, { runs });
  return {
    params,
    sampler,
    ...(samples === undefined ? {} : { samples }),
    ...(metric === undefined ? {} : { metric }),
    seed: request.seed ?? config.seed,
    ...optional('parallel', request.parallel ?? config.parallel),
    algorithm: config.algorithm,
    ...(pruner === undefined ? {} : { pruner }),
    runs,
    fixed: request.params ?? {},
  };
}

/** Returns the metric by which runs of a plan are judged: that of the plan, or the one that its first run monitors. */
export function metricOf({ metric }: Pick<SweepPlan, 'metric'>, runs: readonly Pick<Run, 'monitor'>[]): Monitor | null {
  return metric === undefined ? (runs.find(({ monitor }) => monitor !== null)?.monitor ?? null) : monitorOf(metric);
}

/**
 * Splits what a trial gets into params and the seed of the run. A module knows only the params that it names, so there `seed` is the
 * run's own unless the job has such a param; a command is told both ways.
 */
export function withSeed(params: Params, job: JobConfig): { params: Params; seed: number | undefined } {
  const { [SEED]: given, ...others } = params;
  const seed = typeof given === 'number' && Number.isInteger(given) && given >= 0 ? given : undefined;
  if (seed === undefined || job.module === undefined || SEED in job.params) return { params, seed };
  return { params: others, seed };
}

function samplerOf({ sampler, samples }: PlanRequest, config: SweepConfig): Sampler {
  const drawn = samples !== undefined || config.samples !== undefined;
  return sampler ?? config.sampler ?? (drawn ? 'random' : 'grid');
}

function prunerOf(
  { pruner: kind, minSteps }: PlanRequest,
  { pruner: own }: SweepConfig,
  sampler: Sampler,
): SweepPlan['pruner'] {
  if (kind === undefined && own === undefined) {
    if (minSteps !== undefined)
      throw invalid('minSteps', 'the steps before a run may be ended early need a pruner: --pruner asha');
    return undefined;
  }
  if (sampler !== 'optuna') {
    if (kind === undefined) return undefined;
    throw invalid('pruner', 'only Optuna ends runs early: --sampler optuna');
  }
  const least = minSteps ?? own?.minSteps;
  if (least === undefined)
    throw invalid('minSteps', 'a pruner needs the steps that each run trains at least: --min-steps 100');
  const pruner = { reduction: 3, ...own, ...(kind ? { kind } : {}), minSteps: least } as NonNullable<
    SweepPlan['pruner']
  >;
  const { maxSteps } = pruner;
  if (pruner.kind === 'hyperband' && (maxSteps === undefined || maxSteps < least))
    throw invalid(
      'maxSteps',
      'Hyperband needs "maxSteps" in the job’s "pruner": the steps of a complete run, at least "minSteps"',
    );
  return pruner;
}

function numberOfRuns(space: Record<string, Range>, sampler: Sampler, samples: number | undefined): number {
  const combinations = combinationsOf(space);
  if (sampler === 'grid') {
    const endless = Object.entries(space).find(([, { uniform, logUniform }]) => uniform ?? logUniform);
    if (combinations === null) {
      const name = endless![0];
      throw invalid(name, `"${name}" is a range without a list of values: --samples 30 draws from it`);
    }
    if (combinations > MOST_RUNS)
      throw invalid('set', `there are more than ${integer(MOST_RUNS)} combinations: --samples 30 draws some of them`);
    return combinations;
  }
  if (samples === undefined)
    throw invalid('samples', 'say how many runs to draw: --samples 30, or "samples" in the job’s "sweep"');
  if (sampler === 'random' && combinations !== null && samples > combinations)
    throw invalid(
      'samples',
      `there are only ${integer(combinations)} combinations; without --samples each is trained once`,
    );
  return samples;
}

function requireSpace(space: Record<string, Range>, job: string): void {
  if (Object.keys(space).length === 0)
    throw invalid(
      'set',
      `nothing varies: give values, such as \`trainstash sweep ${job} --set lr=1e-3,3e-4\`, or "sweep" in the job`,
    );
  for (const [name, { choice }] of Object.entries(space)) {
    const twice = choice && repeatedIn(choice);
    if (twice !== undefined) throw invalid(name, `"${name}" has the value ${JSON.stringify(twice)} twice`);
  }
}

/** Refuses a name that no run of the job and no line of its file has, where those are complete or one is meant. */
function requireKnown(names: readonly string[], job: JobConfig, jobName: string, earlier: readonly Run[]): void {
  const seen = earlier.filter(({ status }) => status !== 'failed').flatMap(({ params }) => Object.keys(params));
  const known = [...new Set([...Object.keys(job.params), ...seen])];
  // A module reports all its params when it starts; the file need not have them all.
  const isComplete = job.module !== undefined && seen.length > 0;
  for (const name of names) {
    if (known.includes(name) || name === SEED) continue;
    const suggestion = nearest(name, known);
    if (!isComplete && suggestion === undefined) continue;
    throw new TrainstashError(
      'paramUnknown',
      `"${jobName}" has no param "${name}"${suggestion ? `; did you mean "${suggestion}"?` : '.'} Nothing was started. ${known.length > 0 ? `It has ${known.join(', ')}.` : ''}`.trim(),
      { param: name, known, ...(suggestion ? { suggestion } : {}) },
    );
  }
}

function optional<K extends string, T>(key: K, value: T | undefined): Partial<Record<K, T>> {
  return value === undefined ? {} : ({ [key]: value } as Record<K, T>);
}

function invalid(param: string, text: string): TrainstashError {
  return new TrainstashError('paramInvalid', `${text[0]!.toUpperCase()}${text.slice(1)}. Nothing was started.`, {
    param,
    expected: text,
  });
}
