/** Messages about the queue of this machine and its devices. */
import * as v from 'valibot';
import type { DeviceState, GpuDemand } from '../devices.ts';
import type { Run } from '../domain.ts';
import { request, root, text } from './request.ts';

export interface QueuedRun {
  /** Folder of its project. */
  root: string;
  run: Run;
  gpu: GpuDemand | undefined;
  priority: number;
  urgent: boolean;
  /** True while it is held back by request. */
  paused: boolean;
  /** Name of the run that must have completed first. */
  after: string | null;
  notBefore: number | null;
  /** Name of the urgent run that it was interrupted for. */
  interruptedFor: string | null;
}

/** A live run that cannot save on request, and that was moved off its GPU for an urgent one. */
export interface AwayRun {
  root: string;
  /** Its `reason` says what it waits for. */
  run: Run;
  /** Name of the urgent run that it made way for. */
  for: string;
  /** `away`: it waits to be moved back. `stuck`: it did not come back, and is tried again. */
  phase: 'leaving' | 'away' | 'returning' | 'stuck';
}

export interface QueueState {
  devices: DeviceState[];
  /** Why the GPUs are unknown; null: they are known, or there are none. */
  problem: string | null;
  /** Number of runs that may hold a device at once. */
  width: number;
  paused: boolean;
  /** Queued runs of all projects, in the order in which they start. */
  queued: QueuedRun[];
  /** Runs of all projects that are off their GPUs, and come back before any queued run that is not urgent. */
  away: AwayRun[];
}

export const queueList = request<QueueState>()('queue/list', v.object({ root }));

/** Changes the place or the conditions of a queued run; without `run` the queue of the whole machine. */
export const queueChange = request<QueueState>()(
  'queue/change',
  v.object({
    root,
    run: v.optional(text),
    /** Place among all queued runs: `first`, `last`, or before this run of the project. */
    move: v.optional(v.union([v.picklist(['first', 'last']), v.object({ before: text })])),
    priority: v.optional(v.pipe(v.number(), v.integer(), v.minValue(-1_000), v.maxValue(1_000))),
    paused: v.optional(v.boolean()),
    at: v.optional(v.nullable(v.number())),
    after: v.optional(v.nullable(text)),
    width: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(64))),
  }),
);
