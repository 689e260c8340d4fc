/** Automatic rollback: what a job says about it, and how a param changes. Pure. */
import * as v from 'valibot';
import { namedRecord } from './any-names.ts';
import type { ParamValue } from './domain.ts';

export const TROUBLES = ['nan', 'spike', 'failure'] as const;
export type Trouble = (typeof TROUBLES)[number];

const DEFAULT_TIMES = 3;
const CHANGE = /^\s*([*/+-])\s*(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?)\s*$/;

/** A new value, or a change of a number: `"*0.5"`, `"/2"`, `"+1"`, `"-0.1"`. */
const change = v.union([v.string(), v.number(), v.boolean()]);

const entries = {
  do: v.pipe(v.literal('rollback'), v.description('Goes back to a checkpoint and on from there.')),
  to: v.optional(
    v.pipe(v.literal('last-good'), v.description('Checkpoint to go back to: the newest good one before the trouble.')),
    'last-good',
  ),
  then: v.optional(
    v.pipe(
      namedRecord(v.string(), change),
      v.description('Params that change: a new value, or a change of a number such as `*0.5`, `/2`, `+1` or `-0.1`.'),
    ),
    {},
  ),
  skip: v.optional(
    v.pipe(
      v.union([v.pipe(v.number(), v.integer(), v.minValue(1)), v.literal('seen')]),
      v.description('Batches to leave out after the checkpoint: a number, or `seen` for those up to the trouble.'),
    ),
  ),
  times: v.optional(
    v.pipe(
      v.number(),
      v.integer(),
      v.minValue(1),
      v.maxValue(100),
      v.description('Number of rollbacks after which the run stays paused, until a person resumes it.'),
    ),
    DEFAULT_TIMES,
  ),
};

export const rollbackSchema = v.strictObject(entries);
export type RollbackPolicy = v.InferOutput<typeof rollbackSchema>;

/** Texts that are meant as a change of a number and are none: `*x`, `/0,5`. A path such as `/data` is a value. */
const MISTAKEN = /^\s*(\*|[/+-][\s\d.,]*\d[\d.,eE+-]*\s*$)/;

/** A rollback as a job gives it, whose changes can be computed. */
export const jobRollbackSchema = v.pipe(
  rollbackSchema,
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    const { value: input } = dataset;
    for (const [key, value] of Object.entries(input.then)) {
      if (typeof value !== 'string' || CHANGE.test(value) || !MISTAKEN.test(value)) continue;
      const message = `must be a new value, or a change of a number such as "*0.5", "/2", "+1" or "-0.1", not ${JSON.stringify(value)}`;
      const place = { type: 'object', origin: 'value' } as const;
      addIssue({
        message,
        path: [
          { ...place, input, key: 'then', value: input.then },
          { ...place, input: input.then, key, value },
        ],
      });
    }
  }),
);

/** A rollback whose run would otherwise compute the same again, bit for bit. */
export const changingRollbackSchema = v.pipe(
  jobRollbackSchema,
  v.check(
    ({ then, skip }) => Object.keys(then).length > 0 || skip !== undefined,
    'a rollback needs "then" (params to change) or "skip" (batches to leave out): without them the run would compute the same again',
  ),
);

/** Batches that a session leaves out before its first one. Steps count as the batches that they took. */
export const skipSchema = v.object({
  count: v.pipe(v.number(), v.integer(), v.minValue(1)),
  unit: v.picklist(['batches', 'steps']),
});
export type Skip = v.InferOutput<typeof skipSchema>;

/** A rollback that was done. */
export interface Rollback {
  trouble: Trouble;
  /** Step of the trouble, and of the checkpoint that the run went back to; null: to the beginning. */
  step: number;
  toStep: number | null;
  /** Session that ended with the trouble. */
  session: string;
  /** Params with their new values. */
  set: Record<string, ParamValue>;
  skip: Skip | null;
  at: number;
}

/** Applies a change to a param. Returns null if a change of a number meets something else. */
export function changedParam(value: ParamValue | undefined, by: string | number | boolean): ParamValue | null {
  const parts = typeof by === 'string' ? CHANGE.exec(by) : null;
  if (!parts) return by;
  const now = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof now !== 'number' || !Number.isFinite(now)) return null;
  const operand = Number(parts[2]);
  const sign = parts[1];
  const next =
    sign === '*' ? now * operand : sign === '/' ? now / operand : sign === '+' ? now + operand : now - operand;
  return Number.isFinite(next) ? tidy(next) : null;
}

/** Drops the digits that arithmetic in binary adds: 0.3 and not 0.30000000000000004. */
function tidy(value: number): number {
  return Number(value.toPrecision(15));
}
