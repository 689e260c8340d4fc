/** `trainstash.json`: optional, JSON with comments; nothing about one machine, nothing that starts by itself. */
import * as v from 'valibot';

const paramValue: v.GenericSchema<unknown> = v.lazy(() =>
  v.union([v.string(), v.number(), v.boolean(), v.null(), v.array(paramValue), v.record(v.string(), paramValue)]),
);

/** `10m`, `90s`, `1h`, `500 steps`, `2 epochs`; several separated by commas. */
const every = v.pipe(
  v.string(),
  v.regex(/^\s*\d+(\.\d+)?\s*(s|m|h|steps?|epochs?)(\s*,\s*\d+(\.\d+)?\s*(s|m|h|steps?|epochs?))*\s*$/),
);

/** Relative to the project, and inside it. */
const pattern = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.check(
    (text) => !/^([/\\]|[A-Za-z]:)|(^|\/)\.\.(\/|$)|^(\.git|\.trainstash)(\/|$)/.test(text),
    'must be a path or glob inside the project, with /, and not in .git',
  ),
);
const patterns = v.pipe(v.array(pattern), v.maxLength(100));

/** What `trainstash.json` says beside its jobs. */
export const branchesSchema = v.object({
  /** Files that follow the branch: paths, folders or globs. */
  files: v.optional(patterns, []),
  /** What live runs do when HEAD leaves their branch. */
  onBranchSwitch: v.optional(v.picklist(['continue', 'pause', 'ask']), 'continue'),
});
export type BranchesConfig = v.InferOutput<typeof branchesSchema>;

export const jobSchema = v.strictObject({
  /** Path of a TensorFlow.js training module (`.ts` or `.js`), relative to the folder of `trainstash.json`. */
  module: v.string(),
  /** Override the module's defaults. */
  params: v.optional(v.record(v.string(), paramValue), {}),
  checkpoint: v.optional(v.strictObject({ every: v.optional(every), best: v.optional(v.boolean()) }), {}),
  keep: v.optional(
    v.strictObject({
      /** How many of the newest automatic checkpoints are kept. */
      last: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
      /** `val_loss`, or `max:val_acc` to maximise. */
      best: v.optional(v.string()),
      /** Keep every checkpoint whose step is a multiple of this. */
      every: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
    }),
    {},
  ),
  /** Files that its training writes by path: they follow the branch, and a switch waits while it writes. */
  files: v.optional(patterns, []),
  onNaN: v.optional(v.picklist(['ignore', 'pause'])),
  onSpike: v.optional(v.picklist(['ignore', 'pause'])),
  backend: v.optional(v.picklist(['auto', 'wasm', 'cpu'])),
  seed: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});
export type JobConfig = v.InferOutput<typeof jobSchema>;

export const CONFIG_FILE = 'trainstash.json';
