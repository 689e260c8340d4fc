/** GPUs, and what a run wants of them. */
import * as v from 'valibot';

/**
 * GPUs that a run wants: a number of them, their indices as `nvidia-smi` counts, or `shared` for a run that goes beside others.
 * Absent: the whole machine, as before there were several.
 */
export const gpuDemandSchema = v.union([
  v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(64)),
  v.pipe(
    v.array(v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(255))),
    v.minLength(1),
    v.maxLength(64),
    v.check((indices) => new Set(indices).size === indices.length, 'names a GPU twice'),
  ),
  v.literal('shared'),
]);
export type GpuDemand = v.InferOutput<typeof gpuDemandSchema>;

export interface DeviceState {
  index: number;
  name: string;
  totalBytes: number;
  usedBytes: number;
  /** Names of the runs that hold it. */
  runs: string[];
  /** Why it counts as taken although no run holds it; null: it is free, or a run holds it. */
  taken: string | null;
}

/** Formats a demand for people: `2 GPUs`, `GPU 0 and 1`, `the whole machine`. */
export function demandWords(demand: GpuDemand | undefined): string {
  if (demand === undefined) return 'the whole machine';
  if (demand === 'shared') return 'a shared GPU';
  if (typeof demand === 'number') return demand === 0 ? 'no GPU' : demand === 1 ? '1 GPU' : `${demand} GPUs`;
  return demand.length === 1 ? `GPU ${demand[0]}` : `GPUs ${demand.slice(0, -1).join(', ')} and ${demand.at(-1)}`;
}

/** Says why NVIDIA's `cuda-checkpoint` could not move a run off its GPU. */
export function notMoved(why: string): string {
  return `cuda-checkpoint is installed, and could not move it off the GPU: ${why}.`;
}

/** Sentence about `cuda-checkpoint` for everybody who relies on it. */
export const MOVER_UNTRIED =
  'tests use a program with its command line and its states, since NVIDIA’s own was not run with Trainstash';
