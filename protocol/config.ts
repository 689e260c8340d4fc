/** `trainstash.json`: optional, JSON with comments; nothing about one machine, nothing that starts by itself. */
import * as v from 'valibot';
import { BACKENDS } from './domain.ts';

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

/** Split like a shell does it, but run without one; an array is taken as it is. */
const commandLine = v.union([v.pipe(v.string(), v.nonEmpty()), v.pipe(v.array(v.string()), v.minLength(1))]);

/** How params become arguments: `--lr 0.1`, `lr=0.1`, PARAM_LR=0.1 in the environment, or not at all. */
export const PARAM_STYLES = ['flags', 'hydra', 'env', 'none'] as const;

/** Either `module` or `run`. */
export const jobSchema = v.strictObject({
  /** Path of a TensorFlow.js training module (`.ts` or `.js`), relative to the folder of `trainstash.json`. */
  module: v.optional(v.pipe(v.string(), v.nonEmpty())),
  /** Any command. `${run} ${dir} ${params.x}` are filled in; a leading `python` is the selected interpreter. */
  run: v.optional(commandLine),
  /** The command that goes on from `${checkpoint}`; absent: `run` once more, with the files back in place. */
  resume: v.optional(commandLine),
  /** Files that its script saves, to be kept as checkpoints. Absent: whatever looks like one in the project. */
  checkpoints: v.optional(
    v.union([
      v.pipe(
        pattern,
        v.transform((one) => [one]),
      ),
      patterns,
    ]),
    [],
  ),
  /** Commands by format that make `${out}` of `${checkpoint}`; a leading `python` is the selected interpreter. */
  export: v.optional(v.record(v.pipe(v.string(), v.regex(/^[\w.-]{1,40}$/)), commandLine), {}),
  args: v.optional(v.picklist(PARAM_STYLES), 'flags'),
  /** Folder that the command starts in, relative to the project. */
  cwd: v.optional(pattern),
  /** Variables beside those of the shell; the placeholders of `run` are filled in. */
  env: v.optional(v.record(v.string(), v.string()), {}),
  /** Override the module's defaults; appended to a command as `args` says. */
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
  /** `pause`: a NaN or infinity of `loss`, or of the metric in `keep.best`, ends the run, to be resumed from its newest good checkpoint. */
  onNaN: v.optional(v.picklist(['ignore', 'pause'])),
  /** `pause`: so does a value of them that is far from where it was. */
  onSpike: v.optional(v.picklist(['ignore', 'pause'])),
  /** `auto`: the fastest that computes rightly here. */
  backend: v.optional(v.picklist(['auto', ...BACKENDS])),
  seed: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
});
export type JobConfig = v.InferOutput<typeof jobSchema>;
export type ParamStyle = (typeof PARAM_STYLES)[number];

export const CONFIG_FILE = 'trainstash.json';
