/**
 * The session directory: what passes between a trainer and the daemon. It is the whole interface; a trainer never
 * needs the daemon, and writes the same files without it.
 *
 *     <store>/sessions/<id>/
 *       launch.json     what to do; written before the trainer starts, never changed
 *       lock            an SQLite file; the runner holds BEGIN EXCLUSIVE on it while it lives: that is liveness
 *       process.json    pid and start time of the runner, to signal it; says nothing about liveness
 *       events.ndjson   of the trainer: append-only, one JSON event a line, sequence numbers from 1
 *       runner.ndjson   the same of the runner of a command, which sees a script from outside
 *       control         written by the daemon with a rename, `stat`ed by the trainer at step boundaries
 *       inbox/<name>/   complete, fsynced checkpoints, renamed in; `.tmp-*` are being written
 *       taking/<name>/  claimed by the daemon; the trainer no longer touches them
 *       restore/        files of the checkpoint to resume from
 *       output.log      stdout and stderr, raw: the newest part; older ones are output-<first byte>-<end>.log
 *       input/          what a person types into an attached terminal: a file each, taken away by the runner
 *       files.ndjson    of a runner: the files of its script that need no more looking at, as they were
 *       package         made by the Python package as soon as it is imported: its script will speak for itself
 *       exit.json       how it ended; written durably by the runner, absent after a kill
 *
 * A script that was started by hand may ask a daemon that has the store open for its last checkpoint:
 *
 *     <store>/asked/<id>.json         the question; taken away by the daemon as soon as it has read it
 *     <store>/asked/<id>/answer.json  the answer, written last; beside it the checkpoint's files, if there is one
 */
import * as v from 'valibot';
import type { ErrorCode, WireError } from './errors.ts';
import { INGREDIENT_KINDS, ingredientSchema } from './ingredients.ts';
import { nameProblem } from './names.ts';
import { wireNumberSchema } from './numbers.ts';

export const SESSION_FILES = {
  launch: 'launch.json',
  lock: 'lock',
  process: 'process.json',
  events: 'events.ndjson',
  runnerEvents: 'runner.ndjson',
  control: 'control',
  inbox: 'inbox',
  taking: 'taking',
  restore: 'restore',
  /** What a session writes whose purpose is an export. */
  export: 'export',
  output: 'output.log',
  input: 'input',
  exit: 'exit.json',
  files: 'files.ndjson',
  package: 'package',
} as const;

/** In a checkpoint's directory: facts about it, beside the state files. */
export const CHECKPOINT_FILE = 'checkpoint.json';
/** The complete training state, deterministic: no times, no ids, no paths. One of the TensorFlow.js trainer, one of the
 *  Python package: an ordinary file for `torch.load`. */
export const STATE_FILE = 'state.safetensors';
export const TORCH_STATE_FILE = 'state.pt';
/** Beside that file: the parts of tensors that are cut between processes, in the format of `torch.distributed.checkpoint`. */
export const SHARDS_FOLDER = 'shards/';
export const SHARDS_INDEX = 'shards/.metadata';
/** What a checkpoint says of the fits of its process, and the last states of those before its own. */
export const FITS_FILE = 'fits.json';
export const FITS_FOLDER = 'fits/';

/** Of a run, session or checkpoint. Ids are parts of paths, so they are no more than letters, digits, dashes. */
export const idSchema = v.pipe(v.string(), v.regex(/^\w[\w-]{0,63}$/));
/** Of a commit or tree in git, which would take a word with a dash for an option. */
export const objectIdSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/));

export const ASKED_FOLDER = 'asked';
export const ANSWER_FILE = 'answer.json';

export const questionSchema = v.object({
  /** The name of the script's runs. */
  job: v.string(),
  branch: v.nullable(v.string()),
});

/** `checkpoint` null: there is none. `error`: there is one, and it cannot be given. */
export interface CheckpointAnswer {
  checkpoint: string | null;
  step: number;
  createdAt: number;
  run: string | null;
  error: string | null;
}

/** A line of `events.ndjson` longer than this is skipped and reported. */
export const MAX_EVENT_BYTES = 1 << 20;

const paramValue: v.GenericSchema<unknown> = v.lazy(() =>
  v.union([v.string(), v.number(), v.boolean(), v.null(), v.array(paramValue), v.record(v.string(), paramValue)]),
);

export const checkpointPolicySchema = v.object({
  /** Seconds between automatic checkpoints, stretched so that they cost at most 2 % of the time. 0: never by time. */
  everySeconds: v.number(),
  everySteps: v.nullable(v.number()),
  everyEpochs: v.nullable(v.number()),
  onBest: v.boolean(),
  /** What checkpoints by time and by epoch may cost of the training's time; absent: each is taken when it is due. */
  share: v.optional(v.nullable(v.number())),
});
export type CheckpointPolicy = v.InferOutput<typeof checkpointPolicySchema>;

export const commandSchema = v.object({
  /** What is run. Words that look like secrets are masked: the real ones reach the runner in memory. */
  words: v.pipe(v.array(v.string()), v.minLength(1)),
  /** Absolute. */
  cwd: v.string(),
  /** Variables that the job adds. */
  env: v.record(v.string(), v.string()),
  /** A folder for the run's own files, the same in all of its sessions; absolute. */
  dir: v.string(),
  /** Files to take in as checkpoints, relative to `root`; empty: what looks like one. */
  checkpoints: v.array(v.string()),
  /** By series of files, the parts that checkpoints of earlier sessions and runs had. */
  parts: v.optional(v.record(v.string(), v.array(v.string())), {}),
  /** The checkpoint that it goes on from is of the Python package. */
  usesPackage: v.optional(v.boolean(), false),
  /** Versions of the interpreter and of what decides its numbers. */
  facts: v.record(v.string(), v.string()),
});
export type LaunchCommand = v.InferOutput<typeof commandSchema>;

export const launchSchema = v.object({
  format: v.number(),
  session: idSchema,
  /** Null when started without a daemon: it names the run when it adopts the session. */
  run: v.nullable(idSchema),
  runNumber: v.nullable(v.number()),
  job: v.string(),
  purpose: v.picklist(['train', 'verify', 'export']),
  /** Set where the purpose is an export. */
  exportAs: v.optional(v.nullable(v.picklist(['tfjs', 'onnx'])), null),
  root: v.string(),
  /** Folder that the code is read from; differs from `root` when original code is replayed. */
  cwd: v.string(),
  /** Path of the training module, relative to `cwd`; empty for a command. */
  module: v.string(),
  command: v.optional(v.nullable(commandSchema), null),
  params: v.record(v.string(), paramValue),
  seed: v.number(),
  backend: v.string(),
  /** Of the back end: the folder of its npm package where it is not one of ours, and its threads. */
  backendOptions: v.optional(v.object({ from: v.nullable(v.string()), threads: v.number() }), {
    from: null,
    threads: 1,
  }),
  /** What it may write by path, relative to `root`: a switch of the branch waits for it. */
  files: v.optional(v.array(v.string()), []),
  resume: v.nullable(
    v.object({
      /** Relative to the session directory. */
      directory: v.string(),
      checkpoint: idSchema,
      step: v.number(),
      /** The session that took it: what it noted after the checkpoint is compared. */
      session: v.optional(v.nullable(v.string())),
      /** What the checkpoint was made with; null where it does not say. */
      expected: v.object({
        data: v.nullable(v.string()),
        backend: v.nullable(v.string()),
        framework: v.optional(v.nullable(v.string()), null),
      }),
      /** Differences (`data`, `backend`, `package`) that the user accepted. */
      accept: v.array(v.string()),
      /**
       * The state file as it was when its bytes had just been compared with their hashes: as long as it is the same one,
       * nobody needs to sum it again. `mtimeNs`: in decimal digits.
       */
      verified: v.optional(v.nullable(v.object({ ino: v.string(), bytes: v.number(), mtimeNs: v.string() }))),
    }),
  ),
  /** A verification ends, with a checkpoint, at this step. */
  untilStep: v.nullable(v.number()),
  /** Set when that checkpoint was taken after an epoch's end: how many epochs were done. */
  untilEpoch: v.nullable(v.number()),
  checkpoint: checkpointPolicySchema,
  onNaN: v.picklist(['ignore', 'pause']),
  onSpike: v.picklist(['ignore', 'pause']),
  monitor: v.nullable(v.object({ metric: v.string(), mode: v.picklist(['min', 'max']) })),
  keep: v.object({ last: v.number(), every: v.nullable(v.number()) }),
  /** What the job itself says; of the rest the script's own wish counts. */
  stated: v.optional(v.array(v.picklist(['every', 'keep'])), []),
  identity: v.object({
    branch: v.nullable(v.string()),
    commit: v.nullable(objectIdSchema),
    dirty: v.boolean(),
    code: v.nullable(objectIdSchema),
    branchId: v.optional(v.nullable(v.string())),
    codeLeftOut: v.optional(v.array(v.string()), []),
  }),
  createdAt: v.number(),
});
export type Launch = v.InferOutput<typeof launchSchema>;

/** What is typed into an attached terminal, or its new size. One file each in `input/`, named in order. */
export const inputSchema = v.union([
  v.object({ text: v.string() }),
  v.object({
    columns: v.pipe(v.number(), v.integer(), v.minValue(1)),
    rows: v.pipe(v.number(), v.integer(), v.minValue(1)),
  }),
]);
export type TerminalInput = v.InferOutput<typeof inputSchema>;

/** Replaced by rename; answered by an `answered` event with the same `seq`. Requests stay until replaced. */
export const controlSchema = v.object({
  seq: v.number(),
  checkpoint: v.optional(v.boolean()),
  pause: v.optional(v.boolean()),
  stop: v.optional(v.boolean()),
  /** For a script that is still beginning: its runner leaves it to the package. */
  forPackage: v.optional(v.boolean()),
});
export type Control = v.InferOutput<typeof controlSchema>;

/** `seq` counts from 1 without gaps within a session; `t` is milliseconds since the epoch. */
const head = { seq: v.number(), t: v.number() };
export const eventSchema = v.variant('type', [
  v.object({
    type: v.literal('started'),
    ...head,
    step: v.number(),
    epoch: v.number(),
    totalSteps: v.nullable(v.number()),
    stepsPerEpoch: v.nullable(v.number()),
    environment: v.record(v.string(), v.string()),
    monitor: v.nullable(v.object({ metric: v.string(), mode: v.picklist(['min', 'max']) })),
    /** Which checkpoints are kept, where the script says so and the job does not. */
    keep: v.optional(v.nullable(v.object({ last: v.number(), every: v.nullable(v.number()) }))),
    params: v.record(v.string(), paramValue),
    /** It saves when asked and pauses at a step boundary. False: a script that knows nothing of us. */
    cooperative: v.optional(v.boolean(), true),
    /** It is not yet, and will be: its script imports the package. */
    expectsPackage: v.optional(v.boolean()),
  }),
  v.object({
    type: v.literal('metrics'),
    ...head,
    step: v.number(),
    epoch: v.number(),
    values: v.record(v.string(), wireNumberSchema),
  }),
  /** How long it will be, once the trainer knows: after `started`. */
  v.object({
    type: v.literal('plan'),
    ...head,
    totalSteps: v.nullable(v.number()),
    stepsPerEpoch: v.nullable(v.number()),
  }),
  v.object({ type: v.literal('checkpoint'), ...head, step: v.number(), name: v.string() }),
  v.object({
    type: v.literal('notice'),
    ...head,
    code: v.string(),
    level: v.picklist(['info', 'warning', 'error']),
    text: v.string(),
    step: v.nullable(v.number()),
  }),
  /** A resume computed something else than what was recorded after its checkpoint; `ingredient` is what was not restored. */
  v.object({
    type: v.literal('diverged'),
    ...head,
    step: v.number(),
    ingredient: v.picklist(INGREDIENT_KINDS),
    text: v.string(),
  }),
  v.object({ type: v.literal('answered'), ...head, control: v.number(), step: v.number() }),
]);
export type SessionEvent = v.InferOutput<typeof eventSchema>;
export type StartedEvent = Extract<SessionEvent, { type: 'started' }>;
export type DivergedEvent = Extract<SessionEvent, { type: 'diverged' }>;
export type NoticeEvent = Extract<SessionEvent, { type: 'notice' }>;

/** Never outside the folder that it is written to. */
const fileName = v.pipe(
  v.string(),
  v.check((name) => nameProblem(name) === null, 'must be a path inside'),
);

/** Of a script's files: a folder of the project, `@dir` or a folder below it; empty is the project itself. */
const placeName = v.pipe(
  v.string(),
  v.check((place) => place === '' || nameProblem(place) === null, 'must be a place inside'),
);

export const checkpointFileSchema = v.object({
  format: v.number(),
  id: idSchema,
  session: idSchema,
  step: v.pipe(v.number(), v.safeInteger()),
  epoch: v.number(),
  /** Batches of the epoch that are used up; 0: taken after an epoch's end. */
  batch: v.number(),
  createdAt: v.number(),
  reasons: v.array(v.string()),
  grade: v.picklist(['complete', 'partial', 'weights only']),
  missing: v.array(v.string()),
  /** Parts that others of its series have: it may have been half written when its script ended. */
  lacks: v.optional(v.array(v.string()), []),
  /** An earlier one of the same moment, all of which is in this one. */
  replaces: v.optional(v.nullable(v.string()), null),
  /** What it is made of, and what `grade` and `missing` are read off; absent: an older version wrote it. */
  ingredients: v.optional(v.nullable(v.array(ingredientSchema))),
  /** The checkpoint before it in this session, or the one the session resumed from. */
  parent: v.nullable(idSchema),
  metrics: v.record(v.string(), wireNumberSchema),
  environment: v.record(v.string(), v.string()),
  data: v.nullable(v.object({ fingerprint: v.string(), samples: v.nullable(v.number()) })),
  /** What equal states have in common, where the files also hold run times or ids; absent: the files themselves. */
  sum: v.optional(v.nullable(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)))),
  /** `name` is a relative path with `/`. `stat`: what the file is, where a script of others wrote it and may again. */
  files: v.array(
    v.object({
      name: fileName,
      bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
      stat: v.optional(v.object({ ino: v.string(), mtimeMs: v.number() })),
    }),
  ),
  /**
   * Where a script saved these files itself, relative to the project, with `/`, or below `@dir`, the run’s own folder; null: they are of our
   * making.
   */
  place: v.optional(v.nullable(placeName), null),
});
export type CheckpointFile = v.InferOutput<typeof checkpointFileSchema>;

export const exitSchema = v.object({
  /**
   * `completed`: all epochs, or stopped early by its own rule. `paused`, `stopped`: as asked. `failed`: see `error`.
   * `lost`: a command that a signal ended, as its runner has seen.
   */
  outcome: v.picklist(['completed', 'paused', 'stopped', 'failed', 'lost']),
  step: v.number(),
  at: v.number(),
  reason: v.string(),
  error: v.nullable(
    v.object({ code: v.string(), message: v.string(), data: v.unknown(), stack: v.optional(v.string()) }),
  ),
});
export type ExitRecord = v.InferOutput<typeof exitSchema>;

export function exitErrorToWire(error: NonNullable<ExitRecord['error']>): WireError {
  return { code: error.code as ErrorCode, message: error.message, data: error.data };
}

/** `export/export.json` of a session that exports: what it wrote beside it. */
export const exportRecordSchema = v.object({
  names: v.array(fileName),
  notes: v.array(v.string()),
  parity: v.nullable(
    v.object({
      largestDifference: v.nullable(v.number()),
      samples: v.number(),
      runtime: v.string(),
      why: v.string(),
    }),
  ),
});
export type ExportRecord = v.InferOutput<typeof exportRecordSchema>;

export const processSchema = v.object({
  pid: v.number(),
  /** Clock ticks since boot at which the process started (Linux), or null: guards against a reused pid. */
  startTime: v.nullable(v.string()),
  host: v.string(),
  bootId: v.string(),
  /** The command of a runner: it has a group of its own, so that signals must reach both. */
  child: v.optional(v.nullable(v.object({ pid: v.number(), startTime: v.nullable(v.string()) })), null),
});
export type ProcessRecord = v.InferOutput<typeof processSchema>;
