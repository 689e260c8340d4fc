/**
 * Messages between clients and the daemon. One constant carries a message's method, the schema of its params and the type
 * of its result. Both ends import it; there is no second list. Requests are named `noun/verb`, notifications `noun/pastTense`.
 * Params are objects. No message is larger than `MAX_MESSAGE_BYTES`; long results come in pages.
 *
 * `root` in params is any folder inside a project; the daemon finds the project from it.
 */
import * as v from 'valibot';
import type { BackendFinding, UntriedBackend } from './backends.ts';
import type { Diff, WeightsDiff } from './diff.ts';
import type {
  BackendName,
  Checkpoint,
  FileInspection,
  MetricSeries,
  Notice,
  Params,
  Project,
  Proof,
  Run,
  Session,
  StoreUsage,
} from './domain.ts';
import type { PreflightDifference } from './errors.ts';
import type { ExportFormat, ExportResult } from './export.ts';
import type { Build } from './version.ts';

export const MAX_MESSAGE_BYTES = 1 << 20;

export interface Request<P, R> {
  readonly method: string;
  readonly schema: v.GenericSchema<unknown>;
  /** Type-only field: never set. */
  readonly params?: P;
  readonly result?: R;
}

export interface Notification<P> {
  readonly method: string;
  /** Type-only field: never set. */
  readonly params?: P;
}

function request<R>() {
  return <S extends v.GenericSchema<unknown>>(method: string, schema: S): Request<v.InferInput<S>, R> => ({
    method,
    schema,
  });
}

/** Text without a NUL, which no path, name, word of a command or variable can hold: system calls would cut there, or Node throws. */
const word = v.pipe(
  v.string(),
  v.check((value) => !value.includes('\0'), 'contains a NUL character, which no name, path or command can have'),
);
const text = v.pipe(word, v.maxLength(4096));
const paramValue: v.GenericSchema<unknown> = v.lazy(() =>
  v.union([word, v.number(), v.boolean(), v.null(), v.array(paramValue), v.record(word, paramValue)]),
);
const params = v.record(text, paramValue);
/** Environment variables. Their values stay in the memory of daemon and runner and are never written to disk. */
const environment = v.record(word, word);
const count = v.pipe(v.number(), v.integer(), v.minValue(0));
const root = text;

// ---- daemon ----

export const daemonHello = request<{ protocol: number; build: Build; pid: number }>()(
  'daemon/hello',
  v.object({
    protocol: v.number(),
    build: v.object({ version: text, builtAt: v.number() }),
    token: text,
    client: text,
  }),
);

export interface DaemonStatus {
  pid: number;
  build: Build;
  node: string;
  sqlite: string;
  startedAt: number;
  clients: number;
  residentBytes: number;
  live: { root: string; run: string; name: string; status: string }[];
  stateDirectory: string;
  log: string;
}
export const daemonStatus = request<DaemonStatus>()('daemon/status', v.object({}));

/** Ends the daemon. Trainings continue: they do not need it. */
export const daemonStop = request<{ live: number }>()('daemon/stop', v.object({}));

/** Sent by a client of a newer build: the daemon exits and leaves its sessions to the daemon that the client starts. */
export const daemonHandOver = request<{ accepted: boolean }>()(
  'daemon/handOver',
  v.object({ build: v.object({ version: text, builtAt: v.number() }) }),
);

export interface DaemonState {
  /** Counter that every change raises. After a gap in the notifications' revisions, ask again. */
  revision: number;
  projects: Project[];
  live: Run[];
}
export const daemonState = request<DaemonState>()('daemon/state', v.object({}));

// ---- project ----

/**
 * Opens a project. `trusted` comes from the command line or a trusted window and holds until the daemon's state is removed.
 * `create` makes a project of a folder that is none. `acceptStore`: a person has accepted the store, wherever it was made.
 */
export const projectOpen = request<Project>()(
  'project/open',
  v.object({
    root,
    trusted: v.boolean(),
    create: v.optional(v.boolean()),
    acceptStore: v.optional(v.boolean()),
    /** Keeps the project open, and its HEAD watched, until this client disconnects. */
    watch: v.optional(v.boolean()),
  }),
);

export interface Initialised {
  config: string;
  created: boolean;
  /** Command of the job, with the reason for choosing it in `why`; null: the file existed. */
  runs: string | null;
  why: string | null;
}
export const projectInit = request<Initialised & { project: Project }>()(
  'project/init',
  v.object({ root, module: v.optional(text) }),
);

export interface JobSummary {
  name: string;
  /** Path of the module, or the command. */
  what: string;
  /** True if Python runs it directly, so that it can be debugged. */
  python: boolean;
  params: Params;
}
export const projectJobs = request<{ file: string | null; jobs: JobSummary[]; warnings: string[] }>()(
  'project/jobs',
  v.object({ root }),
);

/** Writes the command of a run without a job into trainstash.json as a job. Comments in the file are kept. */
export const jobKeep = request<{ config: string; job: string }>()(
  'job/keep',
  v.object({ root, run: text, name: v.optional(text) }),
);

/** Describes a project. `gitVersion` is that of the git the daemon finds; null: it finds none. */
export const projectWhere = request<{ project: Project; usage: StoreUsage; gitVersion: string | null }>()(
  'project/where',
  v.object({ root }),
);

// ---- branch ----

export interface BranchSummary {
  /** Null: runs on a detached HEAD or without git. */
  name: string | null;
  runs: number;
  drafts: number;
  live: number;
  newestAt: number;
}

/** Lists the branches that have runs, the newest first. */
export const branchList = request<{ revision: number; branches: BranchSummary[] }>()('branch/list', v.object({ root }));

export type SyncState =
  /** The files in the tree belong to HEAD's branch. */
  | 'inPlace'
  /** HEAD is detached: the files stay unchanged. */
  | 'detached'
  /** It is not decided yet whether files follow branches: nothing moves. */
  | 'ask'
  /** Something writes to the working set: the files move once it has ended or paused. */
  | 'waiting'
  /** HEAD moved while no daemon was watching, and files have changed since: a person decides whose they are. */
  | 'unclear'
  /** The switch failed. Whatever was done is kept, and it is tried again. */
  | 'failed';

export interface SyncResult {
  state: SyncState;
  /** HEAD's branch; null: detached, or no git. */
  branch: string | null;
  /** The branch whose files are in place. */
  inPlace: string | null;
  /** Reason for waiting or failing, for people. */
  reason: string;
  /** Numbers of files that this call moved out of the tree and into it. */
  movedOut: number;
  movedIn: number;
  /** Files that appeared after HEAD had moved: they stayed and count as the new branch's. */
  late: string[];
  /** Files that did not come back because another file is in their place; they are still stashed. */
  conflicts: string[];
}

/** Brings the files of HEAD's branch into place. Returns when that is done, or why it is not. `files` settles `unclear`. */
export const branchSync = request<SyncResult>()(
  'branch/sync',
  v.object({ root, files: v.optional(v.picklist(['move', 'stay'])) }),
);

/** Answers the question whether files follow branches, which is asked once per project. */
export const branchFollow = request<SyncResult>()('branch/follow', v.object({ root, follow: v.boolean() }));

export interface StashSummary {
  id: string;
  branch: string;
  /** True if the branch that this stash belongs to still exists under that name. */
  branchExists: boolean;
  /** True if it is restored automatically when the branch is checked out. */
  automatic: boolean;
  reason: 'switch' | 'branched' | 'vanished' | 'conflict' | 'replaced';
  files: number;
  bytes: number;
  /** Number of files that are in the store; the others are only on the shelf. */
  stored: number;
  createdAt: number;
  /** Time at which it was moved to the trash. */
  droppedAt: number | null;
}

export const stashList = request<{ stashes: StashSummary[] }>()('stash/list', v.object({ root }));

export const stashShow = request<{ stash: StashSummary; files: { path: string; bytes: number; stored: boolean }[] }>()(
  'stash/show',
  v.object({ root, stash: text }),
);

/** Restores files to their places, or below `directory`. A file that is in the way stays, and so does the stashed one. */
export const stashRestore = request<{ restored: string[]; conflicts: string[] }>()(
  'stash/restore',
  v.object({ root, stash: text, directory: v.optional(text) }),
);

/** Moves a stash to the trash, which is emptied after 7 days. `undo` takes it (or the newest one) out again. */
export const stashDrop = request<{ stash: StashSummary }>()(
  'stash/drop',
  v.object({ root, stash: v.optional(text), undo: v.optional(v.boolean()) }),
);

// ---- TensorFlow.js backends ----

/**
 * Lists all backends. Each is tried on this machine unless that was done before; `again` repeats all trials. `auto` is the one
 * that a training would use. Loads packages of the project, and so fails with `untrusted` in an untrusted one, unless `ownOnly`.
 */
export const backendSurvey = request<{
  findings: BackendFinding[];
  auto: { backend: BackendName; reason: string };
  untried: UntriedBackend[];
}>()(
  'backend/survey',
  v.object({
    root,
    environment,
    again: v.optional(v.boolean()),
    /** True to load no packages of the folder itself; they are listed as `untried`. */
    ownOnly: v.optional(v.boolean()),
  }),
);

// ---- run ----

const launchOptions = {
  root,
  environment,
  /** Interpreter that a leading `python` stands for; absent: the one of the environment. */
  interpreter: v.optional(text),
  /** True to wait until no other run of this daemon is live. */
  queue: v.optional(v.boolean()),
  /** Maximum number of restarts from the newest checkpoint after a crash (failed or lost, but not by a reboot). */
  restarts: v.optional(count),
  backend: v.optional(text),
  /** Backend for a job that names none; absent: `auto`. */
  backendSetting: v.optional(text),
  /**
   * Arguments inserted between the interpreter and the script that start a debugger in the same process. They hold for this
   * session only, not for restarts after a crash. Fails with `notPython` for other commands.
   */
  debugger: v.optional(v.pipe(v.array(word), v.minLength(1))),
};

export const runStart = request<Run>()(
  'run/start',
  v.object({
    ...launchOptions,
    /** Name of a job; with `command`, the name that the run gets. */
    job: text,
    params,
    seed: v.optional(count),
    /** Command to run without a job. The first word may be `python`. */
    command: v.optional(v.pipe(v.array(word), v.minLength(1))),
    /** Working directory of `command`: absolute, inside the project. */
    cwd: v.optional(text),
  }),
);

const resumeOptions = {
  ...launchOptions,
  /** Run to resume; empty: the newest paused, failed, lost or stopped run of this branch. */
  run: v.optional(text),
  /** Step, checkpoint id, tag, `best` or `last` (the default). */
  from: v.optional(text),
  /** Command that replaces the masked words of a run without a job. */
  command: v.optional(v.pipe(v.array(word), v.minLength(1))),
  /** Params with new values. */
  set: v.optional(params),
  /** Params that take the job's current value instead of the checkpoint's. */
  current: v.optional(v.array(text)),
};

/** Compares the present with the time when the checkpoint was made. Changes nothing. */
export const runPreflight = request<{ run: Run; checkpoint: Checkpoint | null; differences: PreflightDifference[] }>()(
  'run/preflight',
  v.object(resumeOptions),
);

/** Resumes a run. Fails with `preflightDiffers` unless `accept` is set or nothing differs. */
export const runResume = request<Run>()('run/resume', v.object({ ...resumeOptions, accept: v.boolean() }));

/** Starts a new run from a checkpoint of another. */
export const runFork = request<Run>()('run/fork', v.object({ ...resumeOptions, accept: v.boolean() }));

const oneRun = v.object({ root, run: text });

/**
 * Requests a pause at the next step boundary. Resolves at once; `run/changed` reports the rest. For a script that cannot save on
 * request it fails with `pauseLoses`, or ends the script if `accept` is set.
 */
export const runPause = request<Run>()('run/pause', v.object({ root, run: text, accept: v.optional(v.boolean()) }));

/** Types into the terminal of a live command, or resizes it. */
export const runInput = request<Record<string, never>>()(
  'run/input',
  v.object({ root, run: text, text: v.optional(v.string()), columns: v.optional(count), rows: v.optional(count) }),
);

/** Stops a run. `force` kills a trainer that does not respond; the work since its last checkpoint is lost. */
export const runStop = request<Run>()('run/stop', v.object({ root, run: text, force: v.optional(v.boolean()) }));

/** Takes a checkpoint. Resolves when it is in the store. */
export const runCheckpoint = request<Checkpoint>()(
  'run/checkpoint',
  v.object({ root, run: text, tag: v.optional(text) }),
);

export const runList = request<{ revision: number; runs: Run[]; next: string | null; total: number }>()(
  'run/list',
  v.object({
    root,
    /** Absent: all branches. `null` in a project without git. */
    branch: v.optional(v.nullable(text)),
    drafts: v.optional(v.boolean()),
    trashed: v.optional(v.boolean()),
    /** `next` of the previous page. */
    cursor: v.optional(v.nullable(text)),
    limit: v.optional(count),
  }),
);

export const runShow = request<{ run: Run; sessions: Session[]; checkpoints: Checkpoint[] }>()('run/show', oneRun);

export const runUpdate = request<Run>()(
  'run/update',
  v.object({ root, run: text, name: v.optional(text), note: v.optional(text) }),
);

/** Moves a run or a checkpoint to the trash, or takes it out again. */
export const runRemove = request<{ removed: string[]; bytes: number }>()(
  'run/remove',
  v.object({ root, target: text, undo: v.optional(v.boolean()) }),
);

/**
 * Supplies an environment for queued runs whose own was lost with an earlier daemon. Resolves when those runs have been
 * considered.
 */
export const queueSupply = request<Record<string, never>>()(
  'queue/supply',
  v.object({ root, environment, interpreter: v.optional(text) }),
);

// ---- checkpoint ----

export const checkpointList = request<{ revision: number; checkpoints: Checkpoint[]; next: string | null }>()(
  'checkpoint/list',
  v.object({
    root,
    run: text,
    trashed: v.optional(v.boolean()),
    cursor: v.optional(v.nullable(text)),
    limit: v.optional(count),
  }),
);

export const checkpointShow = request<Checkpoint>()('checkpoint/show', v.object({ root, checkpoint: text }));

export const checkpointTag = request<Checkpoint>()(
  'checkpoint/tag',
  v.object({ root, checkpoint: text, tag: text, remove: v.optional(v.boolean()) }),
);

/** Replays from this checkpoint to the next one and compares the states. Resolves when that is done. */
export const checkpointVerify = request<{ checkpoint: Checkpoint; proof: Proof }>()(
  'checkpoint/verify',
  v.object({ root, checkpoint: text, environment }),
);

/** Writes the checkpoint's own files, verified, into a new directory. */
export const checkpointRestore = request<{ directory: string; files: string[]; bytes: number }>()(
  'checkpoint/restore',
  v.object({ root, checkpoint: text, directory: text }),
);

// ---- diff ----

/** Compares `sides`: runs, checkpoints (`RUN@STEP`), or one `main..idea` for the best runs of two branches. */
export const diffShow = request<Diff>()(
  'diff/show',
  v.object({
    root,
    sides: v.pipe(v.array(text), v.maxLength(8)),
    /** Axis by which curves are aligned; absent: steps. */
    axis: v.optional(v.picklist(['step', 'epoch', 'time'])),
  }),
);

const task = v.optional(text);

/** Compares the tensors of two checkpoints (for a run: its newest). `mapping`: name prefixes that differ in the second. */
export const diffWeights = request<WeightsDiff>()(
  'diff/weights',
  v.object({
    root,
    sides: v.pipe(v.array(text), v.minLength(1), v.maxLength(2)),
    mapping: v.optional(v.pipe(v.array(v.object({ from: text, to: text })), v.maxLength(100))),
    task,
  }),
);

/** Reads a file of a code snapshot in base64, from `offset` on; empty past its end. `code` is that of `DiffSide`. */
export const codeRead = request<{ bytes: string; size: number }>()(
  'code/read',
  v.object({ root, code: v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/)), path: text, offset: v.optional(count) }),
);

/** Writes all files of a code snapshot to a new folder. `leftOut`: files that were too large to keep. */
export const codeRestore = request<{ directory: string; files: number; leftOut: string[] }>()(
  'code/restore',
  v.object({ root, source: text, directory: text }),
);

// ---- export ----

/** Lists the formats for an export and why others are unavailable. `source`: a checkpoint, or a run (its newest checkpoint and its metrics). */
export const exportFormats = request<{ formats: ExportFormat[] }>()('export/formats', v.object({ root, source: text }));

/** Exports to `path`, which is absolute and must not exist unless `force` is set. */
export const exportWrite = request<ExportResult>()(
  'export/write',
  v.object({
    root,
    source: text,
    format: text,
    path: text,
    full: v.optional(v.boolean()),
    strip: v.optional(text),
    force: v.optional(v.boolean()),
    environment,
    /** Interpreter of the folder, for a leading `python`. */
    interpreter: v.optional(text),
    task,
  }),
);

// ---- files ----

/**
 * Lists the contents of a checkpoint file in pages. Nothing in it is executed. `path` is absolute; `statistics` cover the tensors
 * of the page; `filter` is a part of names, case-insensitive; `limit` bounds the tensors of the page.
 */
export const fileInspect = request<FileInspection>()(
  'file/inspect',
  v.object({
    path: text,
    statistics: v.optional(v.boolean()),
    filter: v.optional(text),
    limit: v.optional(count),
    after: v.optional(v.object({ tensors: count, values: count, classes: count, stamp: text })),
  }),
);

// ---- metrics and log ----

export const metricsQuery = request<{ series: MetricSeries[] }>()(
  'metrics/query',
  v.object({
    root,
    run: text,
    names: v.optional(v.array(text)),
    fromStep: v.optional(v.number()),
    toStep: v.optional(v.number()),
    /** Number of buckets; each keeps its smallest and its largest value. */
    buckets: v.optional(count),
  }),
);

/**
 * Reads the log of a run. `offset` counts bytes of everything ever printed; a line in the text says how many of them are no
 * longer kept. `last` starts that many bytes before the end instead. `ended`: nothing more will come.
 */
export const logRead = request<{ text: string; offset: number; ended: boolean }>()(
  'log/read',
  v.object({ root, run: text, session: v.optional(text), offset: count, last: v.optional(count) }),
);

// ---- store ----

/** Days for which removed items can be restored; a store at its quota deletes them earlier. */
export const TRASH_DAYS = 7;

/** Everything that emptying the trash deletes for good. Lists are bounded; counts and bytes cover everything. */
export interface Trash {
  runs: {
    id: string;
    number: number;
    name: string;
    branch: string | null;
    trashedAt: number;
    /** Number of checkpoints that were trashed with the run. */
    checkpoints: number;
    bytes: number;
  }[];
  /** Trashed checkpoints of runs that are not in the trash. `run` and `number` identify the run. */
  checkpoints: {
    id: string;
    run: string;
    number: number;
    branch: string | null;
    step: number;
    bytes: number;
    trashedAt: number;
  }[];
  /** Dropped stashes. */
  stashes: StashSummary[];
  counts: { runs: number; checkpoints: number };
  /** Size of all trashed checkpoints before deduplication. */
  bytes: number;
}
export const storeTrash = request<Trash>()('store/trash', v.object({ root }));

export const storeGc = request<{ removedCheckpoints: number; removedChunks: number; returnedBytes: number }>()(
  'store/gc',
  v.object({ root, emptyTrash: v.optional(v.boolean()) }),
);

/**
 * Makes the store as small as possible, which otherwise happens when it is idle. Its task counts bytes of checkpoints.
 * `noRoom`: part of the work was left because the disk is nearly full.
 */
export const storePack = request<{ savedBytes: number; noRoom: boolean }>()(
  'store/pack',
  v.object({ root, task: v.optional(text) }),
);

/** A checkpoint with the reasons for keeping it; without a reason it is removed once there are newer ones. */
export interface KeptCheckpoint {
  checkpoint: Checkpoint;
  reasons: string[];
}
/** A run with its checkpoints. `bytes` is before deduplication. */
export interface KeptRun {
  run: string;
  name: string;
  branch: string | null;
  bytes: number;
  /** The newest ones. */
  checkpoints: KeptCheckpoint[];
  /** Number of older ones that are not listed, since an answer is bounded. */
  more: number;
}
/** Lists what is kept and why, for the 50 runs with the most bytes, or for one run. */
export const storeKept = request<{ runs: KeptRun[] }>()('store/kept', v.object({ root, run: v.optional(text) }));

export interface FsckReport {
  chunks: number;
  checkpoints: number;
  bytes: number;
  problems: { checkpoint: string | null; chunk: string | null; problem: string; whole: string | null }[];
  rebuilt: { runs: number; checkpoints: number; notRestored: string[] } | null;
}
export const storeFsck = request<FsckReport>()('store/fsck', v.object({ root, rebuild: v.optional(v.boolean()) }));

export interface ScrubReport {
  /** Places where secrets are or were in clear; each secret is shortened so that its owner can recognise it. */
  findings: { place: string; secrets: string[] }[];
  /** Number of places that are not listed, since an answer is bounded. */
  more: number;
  masked: boolean;
  /** Names of live runs, whose records were left alone. */
  live: string[];
  /** Ids of checkpoints that have params that look like secrets inside their own files, which never change. */
  inside: string[];
  /** Older copies of the catalog that cannot be opened. */
  unreadable: string[];
  /** Files that still contain one of the secrets after masking. */
  remaining: string[];
}

/** Finds secrets that older versions wrote in clear, and masks them with `apply`. `logs`: also in the output of scripts. */
export const storeScrub = request<ScrubReport>()(
  'store/scrub',
  v.object({ root, apply: v.boolean(), logs: v.optional(v.boolean()) }),
);

/** Writes all checkpoints as plain files and metrics as CSV, then removes the store. */
export const storeEject = request<{ directory: string; checkpoints: number; bytes: number }>()(
  'store/eject',
  v.object({ root, directory: text }),
);

// ---- notifications: whole records with the revision they belong to; `store` names the project, whatever its worktree ----

/** Sent when HEAD moved or trust was given. */
export const projectChanged: Notification<{ revision: number; project: Project }> = { method: 'project/changed' };

/** Sent last by an orderly daemon; if it is missing, the daemon was killed. Trainings continue. */
export const daemonLeaving: Notification<{ reason: 'asked' | 'handOver' | 'other' }> = { method: 'daemon/leaving' };

export const runChanged: Notification<{ store: string; revision: number; run: Run }> = { method: 'run/changed' };

export const checkpointChanged: Notification<{ store: string; revision: number; checkpoint: Checkpoint }> = {
  method: 'checkpoint/changed',
};

/** New points. Lossy: at most 10 a second per run. */
export const metricsAppended: Notification<{ store: string; run: string; step: number; values: MetricSeries[] }> = {
  method: 'metrics/appended',
};

export const noticeRaised: Notification<{ store: string; run: string | null; notice: Notice }> = {
  method: 'notice/raised',
};

/** Progress in bytes, sent only to the client that put `task` into its request; lossy, about ten a second. */
export const taskProgressed: Notification<{ task: string; done: number; total: number }> = {
  method: 'task/progressed',
};
