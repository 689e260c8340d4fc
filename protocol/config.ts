/** Schema of `trainstash.json`: optional, JSON with comments. It starts nothing by itself, but `notify` of a trusted folder's live runs. */
import * as v from 'valibot';
import { alertsSchema, notifySchema } from './alerts.ts';
import { namedRecord } from './any-names.ts';
import { containerSettingSchema } from './containers.ts';
import { described } from './described.ts';
import { gpuDemandSchema } from './devices.ts';
import { BACKENDS } from './domain.ts';
import { enginesSchema } from './engines.ts';
import { paramValue } from './params.ts';
import { PUSH_CHOICES, REMOTE_NAME } from './pushing.ts';
import { changingRollbackSchema, jobRollbackSchema } from './rollback.ts';
import { sweepSchema } from './sweep.ts';

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
    'must be a path or glob inside the project, with "/", and not in .git',
  ),
);
const patterns = v.pipe(v.array(pattern), v.maxLength(100));

/** Remote that the project offers: nothing is sent there before somebody has accepted it on this machine. */
const offeredRemoteSchema = v.strictObject({
  url: described(
    'Place of the remote: file:///folder, s3://bucket, ssh://host/folder, rclone:REMOTE:folder.',
    v.string(),
  ),
  endpoint: v.optional(described('Address of an S3 server; absent: Amazon’s.', v.string())),
  region: v.optional(described('Region of the bucket.', v.string())),
  profile: v.optional(described('Profile in `~/.aws` whose credentials are used.', v.string())),
});
export type OfferedRemote = v.InferOutput<typeof offeredRemoteSchema>;

/** Settings of `trainstash.json` beside its jobs. */
export const branchesSchema = v.object({
  remotes: v.optional(
    described(
      'Remotes by name. Nothing is sent to one before `trainstash remote add NAME` has accepted it on this machine.',
      namedRecord(v.pipe(v.string(), v.regex(REMOTE_NAME)), offeredRemoteSchema),
    ),
    {},
  ),
  files: v.optional(described('Files that follow the branch: paths, folders or globs.', patterns), []),
  engines: v.optional(described('Clusters and hosts that runs are sent to, by name.', enginesSchema), {}),
  onBranchSwitch: v.optional(
    described('Action on live runs when HEAD leaves their branch.', v.picklist(['continue', 'pause', 'ask'])),
    'continue',
  ),
  alerts: v.optional(described('Trouble of live runs that is told, by rule.', alertsSchema)),
  notify: v.optional(
    described(
      'Command or webhook (`https://…`) that trouble is passed on to, also without an editor; only in a trusted folder. `${text} ${run} ${code}` are filled in.',
      notifySchema,
    ),
  ),
});
export type BranchesConfig = v.InferOutput<typeof branchesSchema>;

/** Command: a string is split as a shell would split it but runs without a shell; an array is used as given. */
const commandLine = v.union([v.pipe(v.string(), v.nonEmpty()), v.pipe(v.array(v.string()), v.minLength(1))]);

/** Ways to pass params: `--lr 0.1`, `lr=0.1`, PARAM_LR=0.1 in the environment, or none. */
export const PARAM_STYLES = ['flags', 'hydra', 'env', 'none'] as const;

const checkpointSchema = v.strictObject({
  every: v.optional(
    described(
      'Interval between checkpoints: `10m`, `500 steps`, `1 epoch`, or several of them separated by commas.',
      every,
    ),
  ),
  best: v.optional(
    described(
      'Whether a checkpoint is taken when the monitored metric is the best so far; it is unless this is false.',
      v.boolean(),
    ),
  ),
});

const keepSchema = v.strictObject({
  last: v.optional(
    described('Number of the newest automatic checkpoints to keep.', v.pipe(v.number(), v.integer(), v.minValue(1))),
  ),
  best: v.optional(
    described('Metric whose best checkpoint is kept: `val_loss`, or `max:val_acc` to maximise.', v.string()),
  ),
  every: v.optional(
    described(
      'Interval in steps: checkpoints at its multiples are kept.',
      v.pipe(v.number(), v.integer(), v.minValue(1)),
    ),
  ),
  remote: v.optional(
    described(
      'Which checkpoints stay on the remote that `push` names. Absent: all of them. Those with a tag, pinned or taken on request stay in any case.',
      v.strictObject({
        last: v.optional(
          described(
            'Number of the newest checkpoints that stay there.',
            v.pipe(v.number(), v.integer(), v.minValue(1)),
          ),
          3,
        ),
        best: v.optional(
          described('Whether the best one stays there; it does unless this is false.', v.boolean()),
          true,
        ),
      }),
    ),
  ),
});

/** Interval of time: `10m`, `90s`, `1h`. */
const time = v.pipe(v.string(), v.regex(/^\s*\d+(\.\d+)?\s*[smh]\s*$/));

const pushSchema = v.strictObject({
  to: described('Name of the remote.', v.pipe(v.string(), v.regex(REMOTE_NAME))),
  which: v.optional(
    described('Checkpoints that are sent: all, or only the best and the last one of a run.', v.picklist(PUSH_CHOICES)),
    'all',
  ),
  every: v.optional(
    described(
      'Shortest time between two pushes of a run, such as `10m`. Absent: each checkpoint is sent when it is stored.',
      time,
    ),
  ),
});

/** A job: either `module` or `run`. */
export const jobSchema = v.strictObject({
  module: v.optional(
    described(
      'Path of a TensorFlow.js training module (`.ts` or `.js`), relative to the folder of `trainstash.json`.',
      v.pipe(v.string(), v.nonEmpty()),
    ),
  ),
  run: v.optional(
    described(
      'Any command, without a shell. `${run} ${dir} ${params.x}` are filled in; a leading `python` means the selected interpreter.',
      commandLine,
    ),
  ),
  resume: v.optional(
    described(
      'Command that continues from `${checkpoint}`; absent: `run` again, with the checkpoint’s files back in place.',
      commandLine,
    ),
  ),
  checkpoints: v.optional(
    described(
      'Files saved by the script that become checkpoints. Absent: every file in the project that looks like a checkpoint.',
      v.union([
        v.pipe(
          pattern,
          v.transform((one) => [one]),
        ),
        patterns,
      ]),
    ),
    [],
  ),
  export: v.optional(
    described(
      'Commands by format that convert `${checkpoint}` to `${out}`; a leading `python` means the selected interpreter.',
      namedRecord(v.pipe(v.string(), v.regex(/^[\w.-]{1,40}$/)), commandLine),
    ),
    {},
  ),
  args: v.optional(
    described(
      'How params are passed: `flags` (`--lr 0.1`), `hydra` (`lr=0.1`), `env` (PARAM_LR=0.1), or `none`.',
      v.picklist(PARAM_STYLES),
    ),
    'flags',
  ),
  cwd: v.optional(described('Working directory of the command, relative to the project.', pattern)),
  env: v.optional(
    described(
      'Environment variables added to those of the shell; the placeholders of `run` are filled in.',
      namedRecord(v.string(), v.string()),
    ),
    {},
  ),
  params: v.optional(
    described(
      'Values that override the module’s defaults; passed to a command in the way that `args` selects.',
      namedRecord(v.string(), paramValue),
    ),
    {},
  ),
  checkpoint: v.optional(
    described(
      'When checkpoints are taken. Absent: at the end of each epoch, and at least every five minutes.',
      checkpointSchema,
    ),
    {},
  ),
  keep: v.optional(described('Which checkpoints are kept when others are removed automatically.', keepSchema), {}),
  push: v.optional(
    described(
      'Remote to which checkpoints are sent by themselves, while the training goes on: its name, or an object.',
      v.union([
        v.pipe(
          v.string(),
          v.regex(REMOTE_NAME),
          v.transform((to): v.InferOutput<typeof pushSchema> => ({ to, which: 'all' })),
        ),
        pushSchema,
      ]),
    ),
  ),
  files: v.optional(
    described(
      'Files that the training writes by path. They follow the branch, and a branch switch waits while the training writes.',
      patterns,
    ),
    [],
  ),
  onNaN: v.optional(
    described(
      'Reaction to a NaN or infinite value of `loss` or of the metric in `keep.best`. `pause` ends the run, which can be resumed from its newest good checkpoint; an object describes a rollback.',
      v.union([v.picklist(['ignore', 'pause']), changingRollbackSchema]),
    ),
  ),
  onSpike: v.optional(
    described(
      'Reaction to a value of those metrics that is far from the previous ones; `pause` ends the run in the same way, and an object describes a rollback.',
      v.union([v.picklist(['ignore', 'pause']), changingRollbackSchema]),
    ),
  ),
  onFailure: v.optional(
    described(
      'Reaction to a run that fails by itself, such as a command that exits with another status than 0: an object describes a rollback.',
      v.union([v.literal('ignore'), jobRollbackSchema]),
    ),
  ),
  rehearse: v.optional(
    described(
      'Replay of the newest part of a run when it has paused or ended and the device is free, as `trainstash verify` does.',
      v.boolean(),
    ),
  ),
  backend: v.optional(
    described(
      'TensorFlow.js backend. `auto` takes the fastest one that computes correctly here.',
      v.picklist(['auto', ...BACKENDS]),
    ),
  ),
  seed: v.optional(
    described(
      'Seed of the random numbers; absent: one that is drawn and recorded.',
      v.pipe(v.number(), v.integer(), v.minValue(0)),
    ),
  ),
  gpu: v.optional(
    described(
      'GPUs: a number of them, a list of their indices, or `shared` for a run beside others. Absent: the whole machine.',
      gpuDemandSchema,
    ),
  ),
  container: v.optional(
    described(
      'Image of a container that the command runs in, by docker, podman or apptainer: its name, or an object.',
      containerSettingSchema,
    ),
  ),
  engine: v.optional(described('Engine that the job runs on; absent: this machine.', v.pipe(v.string(), v.nonEmpty()))),
  maxHours: v.optional(
    described('Hours of a session after which the run is paused.', v.pipe(v.number(), v.minValue(0.001))),
  ),
  maxSteps: v.optional(described('Step at which the run is paused.', v.pipe(v.number(), v.integer(), v.minValue(1)))),
  sweep: v.optional(described('Params that `trainstash sweep` varies, and how.', sweepSchema)),
});
export type JobConfig = v.InferOutput<typeof jobSchema>;
export type ParamStyle = (typeof PARAM_STYLES)[number];
