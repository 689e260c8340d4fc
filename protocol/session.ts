/**
 * The session directory: the whole interface between a trainer and the daemon, without which it writes the same files.
 *
 *     <store>/sessions/<id>/
 *       launch.json     the task; written before the trainer starts, never changed
 *       lock            an SQLite file; the runner holds BEGIN EXCLUSIVE on it while it lives: this is liveness
 *       process.json    pid and start time of the runner, for signals; says nothing about liveness
 *       events.ndjson   written by the trainer: append-only, one JSON event per line, sequence numbers from 1
 *       runner.ndjson   the same from the runner of a command, which observes a script from outside
 *       control         written by the daemon with a rename, `stat`ed by the trainer at step boundaries
 *       inbox/<name>/   complete, fsynced checkpoints, renamed into place; `.tmp-*` are being written
 *       taking/<name>/  claimed by the daemon; the trainer no longer touches them
 *       restore/        files of the checkpoint to resume from
 *       output.log      raw stdout and stderr, the newest part; older parts are output-<first byte>-<end>.log
 *       input/          keystrokes from an attached terminal: one file each, removed by the runner
 *       files.ndjson    written by the runner: files of its script, with their stat, that need no more inspection
 *       package         created by the Python package on import: the script will report its own events
 *       alive           touched by `node-run` while it lives, since locks do not hold on a shared folder
 *       exit.json       outcome; written durably by the runner, absent after a kill
 */
import * as v from 'valibot';
import { allocationSchema } from './allocation.ts';
import { namedRecord } from './any-names.ts';
import { containerSchema } from './containers.ts';
import type { ErrorCode, WireError } from './errors.ts';
import { INGREDIENT_KINDS, ingredientSchema } from './ingredients.ts';
import { nameProblem } from './names.ts';
import { wireNumberSchema } from './numbers.ts';
import { paramValue } from './params.ts';
import { pushPolicySchema } from './pushing.ts';
import { rollbackSchema, skipSchema } from './rollback.ts';

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
  /** Output of a session with the purpose `export`. */
  export: 'export',
  output: 'output.log',
  input: 'input',
  exit: 'exit.json',
  files: 'files.ndjson',
  package: 'package',
  /** Touched every few seconds by a process on the node of an engine, for whoever cannot see its lock. */
  alive: 'alive',
  usage: 'usage.ndjson',
  waits: 'waits.ndjson',
  /** Images, histograms, tables and texts: lists of the package and of the runner, and the folder with their contents. */
  media: 'media.ndjson',
  runnerMedia: 'runner-media.ndjson',
  mediaFiles: 'media',
} as const;

/** Name of the file with the facts about a checkpoint, beside its state files. */
export const CHECKPOINT_FILE = 'checkpoint.json';
/** Complete training state, without times, ids and paths: of the TensorFlow.js trainer, and of Python (as by `torch.save`). */
export const STATE_FILE = 'state.safetensors';
export const TORCH_STATE_FILE = 'state.pt';
/** Folder beside it with the parts of sharded tensors, in the format of `torch.distributed.checkpoint`. */
export const SHARDS_FOLDER = 'shards/';
export const SHARDS_INDEX = 'shards/.metadata';
/** Record of the fits of a checkpoint's process, and folder with the last states of the fits before its own. */
export const FITS_FILE = 'fits.json';
export const FITS_FOLDER = 'fits/';

/** Id of a run, session or checkpoint. Ids are parts of paths, so they contain only letters, digits, dashes and underscores. */
export const idSchema = v.pipe(v.string(), v.regex(/^\w[\w-]{0,63}$/));
/** Id of a commit or tree in git, which would take a word that starts with a dash for an option. */
export const objectIdSchema = v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/));

/** Longest line of `events.ndjson`; longer ones are skipped and reported. */
export const MAX_EVENT_BYTES = 1 << 20;

export const checkpointPolicySchema = v.object({
  /** Seconds between automatic checkpoints, stretched so that they cost at most 2 % of the time. 0: never by time. */
  everySeconds: v.number(),
  everySteps: v.nullable(v.number()),
  everyEpochs: v.nullable(v.number()),
  onBest: v.boolean(),
  /** Share of the training's time that checkpoints by time and epoch may cost; absent: each is taken when it is due. */
  share: v.optional(v.nullable(v.number())),
});
export type CheckpointPolicy = v.InferOutput<typeof checkpointPolicySchema>;

export const commandSchema = v.object({
  /** Command. Words that look like secrets are masked: the real ones reach the runner in memory. */
  words: v.pipe(v.array(v.string()), v.minLength(1)),
  cwd: v.string(),
  env: namedRecord(v.string(), v.string()),
  /** Absolute path of the folder for the run's own files, the same in all of its sessions. */
  dir: v.string(),
  /** Files to store as checkpoints, relative to `root`; empty: those that look like one. */
  checkpoints: v.array(v.string()),
  /** Parts that checkpoints of earlier sessions and runs had, by series of files. */
  parts: v.optional(namedRecord(v.string(), v.array(v.string())), {}),
  /** True if the Python package wrote the checkpoint to continue from. */
  usesPackage: v.optional(v.boolean(), false),
  /** Versions of the interpreter and of the packages that affect its numbers. */
  facts: namedRecord(v.string(), v.string()),
  container: v.optional(containerSchema),
});
export type LaunchCommand = v.InferOutput<typeof commandSchema>;

export const launchSchema = v.object({
  format: v.number(),
  session: idSchema,
  /** Null if started without a daemon, which assigns a run when it adopts the session. */
  run: v.nullable(idSchema),
  runNumber: v.nullable(v.number()),
  job: v.string(),
  purpose: v.picklist(['train', 'verify', 'export']),
  /** Format, if the purpose is an export. */
  exportAs: v.optional(v.nullable(v.picklist(['tfjs', 'onnx'])), null),
  root: v.string(),
  /** Folder that the code is read from; differs from `root` when original code is replayed. */
  cwd: v.string(),
  /** Path of the training module, relative to `cwd`; empty for a command. */
  module: v.string(),
  command: v.optional(v.nullable(commandSchema), null),
  params: namedRecord(v.string(), paramValue),
  seed: v.number(),
  backend: v.string(),
  /** Options of the backend: the folder of its npm package if it is not bundled, and the number of threads. */
  backendOptions: v.optional(v.object({ from: v.nullable(v.string()), threads: v.number() }), {
    from: null,
    threads: 1,
  }),
  /** Paths that it may write, relative to `root`: a branch switch waits for it. */
  files: v.optional(v.array(v.string()), []),
  resume: v.nullable(
    v.object({
      /** Path relative to the session directory. */
      directory: v.string(),
      checkpoint: idSchema,
      step: v.number(),
      /** Session that took the checkpoint; its records after the checkpoint are compared. */
      session: v.optional(v.nullable(v.string())),
      /** Facts that the checkpoint was made with; null: not recorded. */
      expected: v.object({
        data: v.nullable(v.string()),
        backend: v.nullable(v.string()),
        framework: v.optional(v.nullable(v.string()), null),
      }),
      /** Params that the checkpoint was taken with. */
      params: v.optional(namedRecord(v.string(), paramValue), {}),
      /** Differences (`data`, `backend`, `package`) that the user accepted. */
      accept: v.array(v.string()),
      /**
       * Stat of the state file right after its bytes were compared with their hashes. While it stays the same, nobody needs to
       * compute the checksums again. `mtimeNs` is in decimal digits.
       */
      verified: v.optional(v.nullable(v.object({ ino: v.string(), bytes: v.number(), mtimeNs: v.string() }))),
    }),
  ),
  /** Step at which a verification ends with a checkpoint. */
  untilStep: v.nullable(v.number()),
  /** Number of completed epochs, if that checkpoint was taken after an epoch's end. */
  untilEpoch: v.nullable(v.number()),
  checkpoint: checkpointPolicySchema,
  onNaN: v.picklist(['ignore', 'pause']),
  onSpike: v.picklist(['ignore', 'pause']),
  /** Rollbacks that the job asks for, by trouble. A trainer only pauses: the daemon rolls back. */
  rollback: v.optional(
    v.object({
      nan: v.optional(rollbackSchema),
      spike: v.optional(rollbackSchema),
      failure: v.optional(rollbackSchema),
    }),
    {},
  ),
  /** Batches to leave out after the checkpoint, or at the beginning. */
  skip: v.optional(v.nullable(skipSchema), null),
  /** Newest finite values of the watched metrics before the checkpoint, by name: a spike right after it is found by them. */
  recent: v.optional(namedRecord(v.string(), v.array(v.number())), {}),
  monitor: v.nullable(v.object({ metric: v.string(), mode: v.picklist(['min', 'max']) })),
  keep: v.object({ last: v.number(), every: v.nullable(v.number()) }),
  /** Remote to which its checkpoints are sent; null: the job says nothing. */
  push: v.optional(v.nullable(pushPolicySchema), null),
  /** Settings that the job itself makes; for the others the script's own values count. */
  stated: v.optional(v.array(v.picklist(['every', 'keep'])), []),
  identity: v.object({
    branch: v.nullable(v.string()),
    commit: v.nullable(objectIdSchema),
    dirty: v.boolean(),
    code: v.nullable(objectIdSchema),
    branchId: v.optional(v.nullable(v.string())),
    codeLeftOut: v.optional(v.array(v.string()), []),
  }),
  /**
   * Names of the variables that it was launched with, whose values are nowhere on the disk. A later daemon, which has to launch
   * it again, compares them with another environment. Null: not recorded.
   */
  variables: v.optional(v.nullable(v.array(v.string())), null),
  createdAt: v.number(),
  /** Number of its life in an engine's place, from 1; absent: it runs on no engine. */
  life: v.optional(v.number()),
  /** Allocation that it runs in; absent: none is known. */
  allocation: v.optional(v.nullable(allocationSchema)),
  /** True for a session that an import has written: without a record of it, nobody has taken it. */
  imported: v.optional(v.boolean(), false),
});
export type Launch = v.InferOutput<typeof launchSchema>;

/** Keystrokes for an attached terminal, or its new size. One file each in `input/`, named in order. */
export const inputSchema = v.union([
  v.object({ text: v.string() }),
  v.object({
    columns: v.pipe(v.number(), v.integer(), v.minValue(1)),
    rows: v.pipe(v.number(), v.integer(), v.minValue(1)),
  }),
]);
export type TerminalInput = v.InferOutput<typeof inputSchema>;

/** Request to a session. Replaced by rename; answered by an `answered` event with the same `seq`. Requests stay until replaced. */
export const controlSchema = v.object({
  seq: v.number(),
  checkpoint: v.optional(v.boolean()),
  pause: v.optional(v.boolean()),
  stop: v.optional(v.boolean()),
  /** True for a script that is still starting up: its runner leaves the request to the package. */
  forPackage: v.optional(v.boolean()),
});
export type Control = v.InferOutput<typeof controlSchema>;

/** Common fields. `seq` counts from 1 without gaps within a session; `t` is milliseconds since the epoch. */
const head = { seq: v.number(), t: v.number() };
export const eventSchema = v.variant('type', [
  v.object({
    type: v.literal('started'),
    ...head,
    step: v.number(),
    epoch: v.number(),
    totalSteps: v.nullable(v.number()),
    stepsPerEpoch: v.nullable(v.number()),
    environment: namedRecord(v.string(), v.string()),
    monitor: v.nullable(v.object({ metric: v.string(), mode: v.picklist(['min', 'max']) })),
    /** Retention that the script sets where the job does not. */
    keep: v.optional(v.nullable(v.object({ last: v.number(), every: v.nullable(v.number()) }))),
    params: namedRecord(v.string(), paramValue),
    /** True if it saves on request and pauses at a step boundary; false: a script that knows nothing of Trainstash. */
    cooperative: v.optional(v.boolean(), true),
    /** True if it is not cooperative yet but will be, since its script imports the package. */
    expectsPackage: v.optional(v.boolean()),
  }),
  v.object({
    type: v.literal('metrics'),
    ...head,
    step: v.number(),
    epoch: v.number(),
    values: namedRecord(v.string(), wireNumberSchema),
  }),
  /** Planned length, as soon as the trainer knows it after `started`. */
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
  /** A resume computed different values than those recorded after its checkpoint; `ingredient` was not restored. */
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

/** File name that never leads out of the folder that it is written to. */
const fileName = v.pipe(
  v.string(),
  v.check((name) => nameProblem(name) === null, 'must be a path inside'),
);

/** Folder of a script's files: in the project, or `@dir` or below it; empty: the project itself. */
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
  /** Parts that other checkpoints of its series have: this one may have been half written when its script ended. */
  lacks: v.optional(v.array(v.string()), []),
  /** Id of an earlier checkpoint of the same moment that is contained in this one. */
  replaces: v.optional(v.nullable(v.string()), null),
  /** Parts of the state, from which `grade` and `missing` are derived; absent: an older version wrote it. */
  ingredients: v.optional(v.nullable(v.array(ingredientSchema))),
  /** Previous checkpoint in this session, or the one that the session resumed from. */
  parent: v.nullable(idSchema),
  metrics: namedRecord(v.string(), wireNumberSchema),
  environment: namedRecord(v.string(), v.string()),
  data: v.nullable(v.object({ fingerprint: v.string(), samples: v.nullable(v.number()) })),
  /** Digest that equal states share although their files contain run times or ids; absent: that of the files. */
  sum: v.optional(v.nullable(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/)))),
  /** Files. `name` is a relative path with `/`. `stat` is present if a script wrote the file itself and may write it again. */
  files: v.array(
    v.object({
      name: fileName,
      bytes: v.pipe(v.number(), v.safeInteger(), v.minValue(0)),
      stat: v.optional(v.object({ ino: v.string(), mtimeMs: v.number() })),
    }),
  ),
  /**
   * Folder in which a script saved these files itself, with `/`, relative to the project or below `@dir` (the run's own folder);
   * null: Trainstash wrote them.
   */
  place: v.optional(v.nullable(placeName), null),
});
export type CheckpointFile = v.InferOutput<typeof checkpointFileSchema>;

export const exitSchema = v.object({
  /**
   * `completed`: all epochs, or stopped early by its own rule. `paused`, `stopped`: as requested. `failed`: see `error`. `lost`: a
   * command that ended by a signal, as its runner has seen.
   */
  outcome: v.picklist(['completed', 'paused', 'stopped', 'failed', 'lost']),
  step: v.number(),
  at: v.number(),
  reason: v.string(),
  /** Finding that made it pause, as its job demands; absent: it ended for another reason. */
  trouble: v.optional(v.nullable(v.object({ code: v.picklist(['nan', 'spike']), step: v.number(), what: v.string() }))),
  /**
   * Signal of a scheduler after which it ended before its time, and whether it is started again: `itself`, by the scheduler; `asked`,
   * since this process has asked for it; `refused`, by the scheduler. Absent: it ended for another reason.
   */
  preempted: v.optional(
    v.nullable(v.object({ signal: v.string(), again: v.picklist(['itself', 'asked', 'refused']) })),
  ),
  /** True once the process that attends the command has added what it knows; a script writes its own part first. */
  whole: v.optional(v.boolean()),
  error: v.nullable(
    v.object({ code: v.string(), message: v.string(), data: v.unknown(), stack: v.optional(v.string()) }),
  ),
});
export type ExitRecord = v.InferOutput<typeof exitSchema>;

export function exitErrorToWire(error: NonNullable<ExitRecord['error']>): WireError {
  return { code: error.code as ErrorCode, message: error.message, data: error.data };
}

/** Contents of `export/export.json`: the files that an export session wrote beside it. */
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
  /** Command of a runner. It has a process group of its own, so signals must reach both. */
  child: v.optional(v.nullable(v.object({ pid: v.number(), startTime: v.nullable(v.string()) })), null),
});
export type ProcessRecord = v.InferOutput<typeof processSchema>;
