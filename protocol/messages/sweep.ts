/** Messages about sweeps. */
import * as v from 'valibot';
import { namedRecord } from '../any-names.ts';
import { gpuDemandSchema } from '../devices.ts';
import type { Run } from '../domain.ts';
import { PRUNERS, rangeSchema, SAMPLERS, type SweepSummary } from '../sweep.ts';
import type { Notification } from './request.ts';
import { count, environment, params, request, root, text } from './request.ts';

/**
 * Starts a sweep of a job. `set` replaces or adds to the params of the job's `sweep`. Fails with `sweepLarge` for many runs unless
 * `accept` is set, and with `samplerMissing` where Optuna is not installed; then nothing has changed.
 */
export const sweepStart = request<SweepSummary>()(
  'sweep/start',
  v.object({
    root,
    environment,
    interpreter: v.optional(text),
    job: text,
    set: v.optional(namedRecord(text, rangeSchema)),
    /** Params that all runs are given. */
    params: v.optional(params),
    sampler: v.optional(v.picklist(SAMPLERS)),
    samples: v.optional(v.pipe(count, v.minValue(1))),
    metric: v.optional(text),
    pruner: v.optional(v.picklist(PRUNERS)),
    minSteps: v.optional(v.pipe(count, v.minValue(1))),
    seed: v.optional(count),
    parallel: v.optional(v.pipe(count, v.minValue(1), v.maxValue(64))),
    gpu: v.optional(gpuDemandSchema),
    priority: v.optional(v.pipe(v.number(), v.integer(), v.minValue(-1_000), v.maxValue(1_000))),
    backend: v.optional(text),
    /** Engine that its runs are sent to, and the nodes of each; `here`: this machine. Absent: as the job says. */
    engine: v.optional(text),
    nodes: v.optional(v.pipe(count, v.minValue(1))),
    accept: v.optional(v.boolean()),
  }),
);

/** Lists the sweeps of a project, the newest first. */
export const sweepList = request<{ sweeps: SweepSummary[] }>()('sweep/list', v.object({ root }));

/** Shows a sweep, found by its number or id; empty: the newest. Its runs come in the order of their trials. */
export const sweepShow = request<{ sweep: SweepSummary; runs: Run[] }>()(
  'sweep/show',
  v.object({ root, sweep: v.optional(text) }),
);

/**
 * Pauses a sweep with its runs, goes on with it, or stops it. Runs that cannot save on request go on to their end. A resume may bring
 * the environment for runs that are still to be started.
 */
export const sweepChange = request<SweepSummary>()(
  'sweep/change',
  v.object({
    root,
    sweep: v.optional(text),
    to: v.picklist(['pause', 'resume', 'stop']),
    environment: v.optional(environment),
    interpreter: v.optional(text),
  }),
);

export const sweepChanged: Notification<{ store: string; sweep: SweepSummary }> = { method: 'sweep/changed' };
