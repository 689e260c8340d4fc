/** Sweeps: what a job says about them, and their records. Pure. */
import * as v from 'valibot';
import { namedRecord } from './any-names.ts';
import { type GpuDemand, gpuDemandSchema } from './devices.ts';
import type { CodeIdentity, Monitor, Params, ParamValue, Run } from './domain.ts';

export const SAMPLERS = ['grid', 'random', 'optuna'] as const;
export type Sampler = (typeof SAMPLERS)[number];

/** Optuna's samplers; `tpe` needs nothing but Optuna. */
export const ALGORITHMS = ['tpe', 'gp', 'cmaes', 'qmc'] as const;
export const PRUNERS = ['asha', 'hyperband', 'median'] as const;

/** Most runs of one sweep, and the number above which a person is asked. */
export const MOST_RUNS = 100_000;
export const ASKED_ABOVE = 200;

const whole = v.pipe(v.number(), v.integer());
const bounds = <S extends v.GenericSchema<number, number>>(bound: S) =>
  v.pipe(
    v.tuple([bound, bound]),
    v.check(([low, high]) => low < high, 'takes its smaller bound first'),
  );
const positive = v.pipe(
  v.number(),
  v.check((value) => value > 0, 'takes bounds above 0'),
);

function described<const S extends v.GenericSchema>(text: string, schema: S) {
  return v.pipe(schema, v.description(text));
}

const value: v.GenericSchema<unknown> = v.lazy(() =>
  v.union([v.string(), v.number(), v.boolean(), v.null(), v.array(value), namedRecord(v.string(), value)]),
);

const choice = v.pipe(v.array(value), v.minLength(1), v.maxLength(10_000)) as unknown as v.GenericSchema<ParamValue[]>;

/** Values that a param may have in a sweep: a list, or an object with exactly one of the keys. */
export const rangeSchema: v.GenericSchema<ParamValue[] | Range, Range> = v.union([
  v.pipe(
    choice,
    v.transform((values): Range => ({ choice: values })),
  ),
  v.pipe(
    v.strictObject({
      choice: v.optional(described('List of values.', choice)),
      int: v.optional(described('Whole numbers from the first to the second bound.', bounds(whole))),
      uniform: v.optional(described('Numbers between two bounds.', bounds(v.number()))),
      logUniform: v.optional(
        described('Numbers between two bounds, each power of ten equally likely.', bounds(positive)),
      ),
    }),
    v.check(
      (range) => Object.values(range).filter((one) => one !== undefined).length === 1,
      'takes one of "choice", "int", "uniform" and "logUniform"',
    ),
  ),
]);

/** Values of a param: one of the keys is there. */
export interface Range {
  choice?: ParamValue[] | undefined;
  int?: [number, number] | undefined;
  uniform?: [number, number] | undefined;
  logUniform?: [number, number] | undefined;
}

const prunerSchema = v.strictObject({
  kind: described(
    'Rule by which Optuna ends runs early: `asha`, `hyperband`, or `median`, which does not go on with a run again.',
    v.picklist(PRUNERS),
  ),
  minSteps: described('Steps that each run trains at least.', v.pipe(whole, v.minValue(1))),
  maxSteps: v.optional(
    described('Steps of a complete run, from which Hyperband makes its brackets.', v.pipe(whole, v.minValue(1))),
  ),
  reduction: v.optional(
    described('Share of runs that go on at each rung: one of this many.', v.pipe(whole, v.minValue(2), v.maxValue(10))),
    3,
  ),
});

const settings = {
  params: v.optional(
    // Types of values nest without end, which is too deep for that of a default.
    described(
      'Params that vary, each with its values: a list, or a range.',
      namedRecord(v.string(), rangeSchema) as v.GenericSchema<Record<string, unknown>, Record<string, Range>>,
    ),
    {},
  ),
  sampler: v.optional(described('`grid` (all combinations), `random`, or `optuna`.', v.picklist(SAMPLERS))),
  samples: v.optional(
    described('Number of runs that `random` and `optuna` draw.', v.pipe(whole, v.minValue(1), v.maxValue(MOST_RUNS))),
  ),
  metric: v.optional(
    described(
      'Metric by which runs are judged: `val_loss`, or `max:val_acc`. Absent: that of `keep.best`.',
      v.pipe(v.string(), v.nonEmpty(), v.maxLength(200)),
    ),
  ),
  seed: v.optional(described('Seed of the draws.', v.pipe(whole, v.minValue(0))), 0),
  parallel: v.optional(
    described(
      'Runs that train at once at most. Absent: as many as have devices; on an engine 200, or 4 where Optuna learns from them.',
      v.pipe(whole, v.minValue(1), v.maxValue(64)),
    ),
  ),
  algorithm: v.optional(described('Sampler of Optuna.', v.picklist(ALGORITHMS)), 'tpe'),
  pruner: v.optional(described('Rule by which Optuna ends runs early, at a checkpoint.', prunerSchema)),
};

/** Key `sweep` of a job. */
export const sweepSchema = v.strictObject(settings);
export type SweepConfig = v.InferOutput<typeof sweepSchema>;

/** Plan of a sweep, once everything that was left open is decided. */
export const sweepPlanSchema = v.object({
  ...settings,
  sampler: v.picklist(SAMPLERS),
  /** Number of runs. */
  runs: v.pipe(whole, v.minValue(1), v.maxValue(MOST_RUNS)),
  /** Params that all its runs are given. */
  fixed: namedRecord(v.string(), value as v.GenericSchema<ParamValue>),
});
export type SweepPlan = v.InferOutput<typeof sweepPlanSchema>;

export const SWEEP_STATES = ['running', 'paused', 'stopped', 'finished'] as const;
export type SweepState = (typeof SWEEP_STATES)[number];

const identitySchema = v.object({
  branch: v.nullable(v.string()),
  branchId: v.optional(v.nullable(v.string())),
  commit: v.nullable(v.string()),
  dirty: v.boolean(),
  code: v.nullable(v.string()),
});

/** Record of a sweep on disk. Its runs are not in it: each run says whose it is. */
export const sweepRecordSchema = v.object({
  id: v.pipe(v.string(), v.regex(/^[a-z0-9]{8,40}$/)),
  number: v.pipe(whole, v.minValue(1)),
  job: v.string(),
  /** Worktree to run in, and code to train. */
  root: v.string(),
  identity: identitySchema,
  codeLeftOut: v.array(v.string()),
  plan: sweepPlanSchema,
  state: v.picklist(SWEEP_STATES),
  /** Reason for the state, for people; may be empty. */
  reason: v.string(),
  createdAt: v.number(),
  /** Trials below this number had a run once, even if it was deleted since. */
  begun: v.pipe(whole, v.minValue(0)),
  /** Failed runs that a person has seen: the sweep was resumed after them. */
  seenFailures: v.pipe(whole, v.minValue(0)),
  /** Facts that another environment has to have in common with the one that the sweep was started in. */
  interpreter: v.nullable(v.string()),
  program: v.nullable(v.string()),
  variables: v.nullable(v.array(v.string())),
  /** Python that has Optuna; null: not needed. */
  python: v.nullable(v.string()),
  backend: v.string(),
  /** Engine that its runs go to, and the number of nodes of each. Absent: they train here. */
  engine: v.optional(v.string()),
  nodes: v.optional(v.pipe(whole, v.minValue(1))),
  gpu: v.optional(gpuDemandSchema),
  priority: v.number(),
});
export type SweepRecord = v.InferOutput<typeof sweepRecordSchema> & { identity: CodeIdentity };

/** Facts of a run about the sweep that it belongs to. */
export interface RunSweep {
  id: string;
  number: number;
  /** Position in the sweep, from 0. */
  trial: number;
  /** `pruned`: ended early by the sweep's rule. `held`: paused with the sweep. */
  mark?: 'pruned' | 'held';
  /** Number of restarts after it was lost without progress. */
  lost?: number;
  /** True once a person has resumed it: the sweep neither pauses nor stops it any more. */
  apart?: true;
}

/** Leaves a run to the person who resumes it. */
export function leftToPerson({ mark: _, ...sweep }: RunSweep): RunSweep {
  return { ...sweep, apart: true };
}

/** A sweep for people and views. */
export interface SweepSummary {
  id: string;
  number: number;
  job: string;
  state: SweepState;
  reason: string;
  createdAt: number;
  sampler: Sampler;
  /** Names of the params that vary. */
  varies: string[];
  /** Number of runs in all, and by what became of them. */
  runs: number;
  completed: number;
  pruned: number;
  failed: number;
  /** Runs that a person has ended or deleted. */
  other: number;
  live: number;
  queued: number;
  metric: Monitor | null;
  /** Run with the best value so far. */
  best: { run: string; runNumber: number; value: number; params: Params } | null;
  gpu: GpuDemand | undefined;
}

/** Returns the best value of a run in a metric; null: it has no finite one. */
export function objectiveOf({ metrics }: Pick<Run, 'metrics'>, monitor: Monitor | null): number | null {
  const summary = monitor && metrics[monitor.metric];
  return (summary && (monitor.mode === 'min' ? summary.min : summary.max)) ?? null;
}

/** Tells whether `value` is better than `other`. */
export function isBetter(value: number, other: number, { mode }: Pick<Monitor, 'mode'>): boolean {
  return mode === 'min' ? value < other : value > other;
}

/** Lists the values of a range that has finitely many; null: it has not. */
export function valuesOf({ choice, int }: Range): ParamValue[] | null {
  if (choice) return choice;
  return int ? Array.from({ length: Math.min(int[1] - int[0] + 1, MOST_RUNS + 1) }, (_, i) => int[0] + i) : null;
}

/** Returns a value that a list has twice; undefined: none. */
export function repeatedIn(values: readonly ParamValue[]): ParamValue | undefined {
  const seen = new Set<string>();
  return values.find((one) => {
    const text = JSON.stringify(one);
    if (seen.has(text)) return true;
    seen.add(text);
    return false;
  });
}

/** Writes a sweep's progress in a few words: `12 of 30 runs, 2 live`. */
export function progressOf({ runs, completed, pruned, failed, other, live, queued }: SweepSummary): string {
  const over = completed + pruned + failed + other;
  const parts = [
    `${over} of ${runs}`,
    ...(live > 0 ? [`${live} live`] : []),
    ...(queued > 0 ? [`${queued} queued`] : []),
    ...(pruned > 0 ? [`${pruned} pruned`] : []),
    ...(failed > 0 ? [`${failed} failed`] : []),
  ];
  return parts.join(', ');
}
