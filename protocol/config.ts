/** Schema of `trainstash.json`: optional, JSON with comments. It holds nothing machine-specific and starts nothing by itself. */
import * as v from 'valibot';
import { gpuDemandSchema } from './devices.ts';
import { BACKENDS } from './domain.ts';

const paramValue: v.GenericSchema<unknown> = v.lazy(() =>
  v.union([v.string(), v.number(), v.boolean(), v.null(), v.array(paramValue), v.record(v.string(), paramValue)]),
);

/** Interval: `10m`, `90s`, `1h`, `500 steps`, `2 epochs`, or several of them separated by commas. */
const every = v.pipe(
  v.string(),
  v.regex(/^\s*\d+(\.\d+)?\s*(s|m|h|steps?|epochs?)(\s*,\s*\d+(\.\d+)?\s*(s|m|h|steps?|epochs?))*\s*$/),
);

/** Path or glob, relative to the project and inside it. */
const pattern = v.pipe(
  v.string(),
  v.nonEmpty(),
  v.check(
    (text) => !/^([/\\]|[A-Za-z]:)|(^|\/)\.\.(\/|$)|^(\.git|\.trainstash)(\/|$)/.test(text),
    'must be a path or glob inside the project, with /, and not in .git',
  ),
);
const patterns = v.pipe(v.array(pattern), v.maxLength(100));

/** Settings of `trainstash.json` beside its jobs. */
export const branchesSchema = v.object({
  /** Files that follow the branch: paths, folders or globs. */
  files: v.optional(patterns, []),
  /** Action on live runs when HEAD leaves their branch. */
  onBranchSwitch: v.optional(v.picklist(['continue', 'pause', 'ask']), 'continue'),
});
export type BranchesConfig = v.InferOutput<typeof branchesSchema>;

/** Command: a string is split as a shell would split it but runs without a shell; an array is used as given. */
const commandLine = v.union([v.pipe(v.string(), v.nonEmpty()), v.pipe(v.array(v.string()), v.minLength(1))]);

/** Ways to pass params: `--lr 0.1`, `lr=0.1`, PARAM_LR=0.1 in the environment, or none. */
export const PARAM_STYLES = ['flags', 'hydra', 'env', 'none'] as const;

/** A job: either `module` or `run`. */
export const jobSchema = v.strictObject({
  /** Path of a TensorFlow.js training module (`.ts` or `.js`), relative to the folder of `trainstash.json`. */
  module: v.optional(v.pipe(v.string(), v.nonEmpty())),
  /** Any command. `${run} ${dir} ${params.x}` are filled in; a leading `python` means the selected interpreter. */
  run: v.optional(commandLine),
  /** Command that continues from `${checkpoint}`; absent: `run` again, with the checkpoint's files back in place. */
  resume: v.optional(commandLine),
  /** Files saved by the script that become checkpoints. Absent: every file in the project that looks like a checkpoint. */
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
  /** Commands by format that convert `${checkpoint}` to `${out}`; a leading `python` means the selected interpreter. */
  export: v.optional(v.record(v.pipe(v.string(), v.regex(/^[\w.-]{1,40}$/)), commandLine), {}),
  args: v.optional(v.picklist(PARAM_STYLES), 'flags'),
  /** Working directory of the command, relative to the project. */
  cwd: v.optional(pattern),
  /** Environment variables added to those of the shell; the placeholders of `run` are filled in. */
  env: v.optional(v.record(v.string(), v.string()), {}),
  /** Values that override the module's defaults; passed to a command in the way that `args` selects. */
  params: v.optional(v.record(v.string(), paramValue), {}),
  checkpoint: v.optional(v.strictObject({ every: v.optional(every), best: v.optional(v.boolean()) }), {}),
  keep: v.optional(
    v.strictObject({
      /** Number of the newest automatic checkpoints to keep. */
      last: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
      /** Metric whose best checkpoint is kept: `val_loss`, or `max:val_acc` to maximise. */
      best: v.optional(v.string()),
      /** Interval in steps: checkpoints at its multiples are kept. */
      every: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
    }),
    {},
  ),
  /** Files that the training writes by path. They follow the branch, and a branch switch waits while the training writes. */
  files: v.optional(patterns, []),
  /** Reaction to a NaN or infinite value of `loss` or of the metric in `keep.best`. `pause` ends the run, which can be resumed from its newest good checkpoint. */
  onNaN: v.optional(v.picklist(['ignore', 'pause'])),
  /** Reaction to a value of those metrics that is far from the previous ones; `pause` ends the run in the same way. */
  onSpike: v.optional(v.picklist(['ignore', 'pause'])),
  /** Replay of the newest part of a run when it has paused or ended and the device is free, as `trainstash verify` does. */
  rehearse: v.optional(v.boolean()),
  /** TensorFlow.js backend. `auto` takes the fastest one that computes correctly here. */
  backend: v.optional(v.picklist(['auto', ...BACKENDS])),
  seed: v.optional(v.pipe(v.number(), v.integer(), v.minValue(0))),
  /** GPUs: a number of them, a list of their indices, or `shared` for a run beside others. Absent: the whole machine. */
  gpu: v.optional(gpuDemandSchema),
  /** Hours of a session after which the run is paused. */
  maxHours: v.optional(v.pipe(v.number(), v.minValue(0.001))),
  /** Step at which the run is paused. */
  maxSteps: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
});
export type JobConfig = v.InferOutput<typeof jobSchema>;
export type ParamStyle = (typeof PARAM_STYLES)[number];
