/** Allocations of schedulers: batch jobs, pods, units. `rules/allocations.json` says how each kind is recognised. */
import * as v from 'valibot';

/** Allocation of a scheduler that a session ran in. */
export const allocationSchema = v.object({
  /** `slurm`, `kubernetes` and others: see `rules/allocations.json`. */
  kind: v.string(),
  /** Id of the job there. */
  job: v.string(),
  /** Number of times that the scheduler had started the job again; null: it does not say. */
  restart: v.nullable(v.number()),
  node: v.string(),
});
export type Allocation = v.InferOutput<typeof allocationSchema>;
