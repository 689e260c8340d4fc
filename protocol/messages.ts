/**
 * The messages between clients and the daemon. One constant carries a message's method, the schema of its params and
 * the type of its result; both ends import it, and there is no second list. Requests are `noun/verb`, notifications
 * `noun/pastTense`. Params are objects. Nothing above `MAX_MESSAGE_BYTES` crosses: what can be long comes in pages.
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
  /** Types only: never set. */
  readonly params?: P;
  readonly result?: R;
}

export interface Notification<P> {
  readonly method: string;
  /** Type only: never set. */
  readonly params?: P;
}

function request<R>() {
  return <S extends v.GenericSchema<unknown>>(method: string, schema: S): Request<v.InferInput<S>, R> => ({
    method,
    schema,
  });
}

/** No path, name, word of a command or variable can hold a NUL: system calls would cut there, or Node throws. */
const word = v.pipe(
  v.string(),
  v.check((value) => !value.includes('\0'), 'has a NUL character in it, which no name, path or command can have'),
);
const text = v.pipe(word, v.maxLength(4096));
const paramValue: v.GenericSchema<unknown> = v.lazy(() =>
  v.union([word, v.number(), v.boolean(), v.null(), v.array(paramValue), v.record(word, paramValue)]),
);
const params = v.record(text, paramValue);
/** Values stay in the memory of daemon and runner; they are never written down. */
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

/** Ends the daemon. Trainings go on: they do not need it. */
export const daemonStop = request<{ live: number }>()('daemon/stop', v.object({}));

/** From a client of a newer build: the daemon exits and leaves sessions to the one the client starts. */
export const daemonHandOver = request<{ accepted: boolean }>()(
  'daemon/handOver',
  v.object({ build: v.object({ version: text, builtAt: v.number() }) }),
);

export interface DaemonState {
  /** Raised by every change; a gap in the notifications' revisions means: ask again. */
  revision: number;
  projects: Project[];
  live: Run[];
}
export const daemonState = request<DaemonState>()('daemon/state', v.object({}));

// ---- project ----

/**
 * `trusted` is said by the command line or a trusted window; it holds until the daemon's state is removed. `create` makes
 * a project of a folder that is none. `acceptStore`: a person has said that its store may be used, wherever it was made.
 */
export const projectOpen = request<Project>()(
  'project/open',
  v.object({
    root,
    trusted: v.boolean(),
    create: v.optional(v.boolean()),
    acceptStore: v.optional(v.boolean()),
    /** Keeps the project open, and its HEAD watched, until this client leaves. */
    watch: v.optional(v.boolean()),
  }),
);

export interface Initialised {
  config: string;
  created: boolean;
  /** What the job runs, and why that; null where a file was there. */
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
  /** Python runs it directly, so that it can be debugged. */
  python: boolean;
  params: Params;
}
export const projectJobs = request<{ file: string | null; jobs: JobSummary[]; warnings: string[] }>()(
  'project/jobs',
  v.object({ root }),
);

/** Writes the command of a run that has no job into trainstash.json, as one. Comments there stay. */
export const jobKeep = request<{ config: string; job: string }>()(
  'job/keep',
  v.object({ root, run: text, name: v.optional(text) }),
);

/** `gitVersion`: of the git that the daemon finds; null when it finds none. */
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

/** The branches that have runs, the newest first. */
export const branchList = request<{ revision: number; branches: BranchSummary[] }>()('branch/list', v.object({ root }));

export type SyncState =
  /** Files belong to HEAD's branch. */
  | 'inPlace'
  /** HEAD is detached: files stay what they were. */
  | 'detached'
  /** Nobody has said yet whether files follow branches: nothing moves. */
  | 'ask'
  /** Something writes into the working set: it moves when that has ended or paused. */
  | 'waiting'
  /** HEAD moved while nobody looked, and files have changed since: a person says whose they are. */
  | 'unclear'
  /** It could not be done; what was done is kept, and it is tried again. */
  | 'failed';

export interface SyncResult {
  state: SyncState;
  /** HEAD's branch; null: detached, or no git. */
  branch: string | null;
  /** The branch whose files are in place. */
  inPlace: string | null;
  /** What is waited for, or what failed; for people. */
  reason: string;
  /** Files that this call moved, out of the tree and into it. */
  movedOut: number;
  movedIn: number;
  /** Files that appeared after HEAD had moved: they stayed, and count as the new branch's. */
  late: string[];
  /** Files that did not come back because another one is in their place; they are still stashed. */
  conflicts: string[];
}

/** Returns when the files in place belong to HEAD's branch, or why they do not. `files` settles `unclear`. */
export const branchSync = request<SyncResult>()(
  'branch/sync',
  v.object({ root, files: v.optional(v.picklist(['move', 'stay'])) }),
);

/** The answer to the question that is asked once a project. */
export const branchFollow = request<SyncResult>()('branch/follow', v.object({ root, follow: v.boolean() }));

export interface StashSummary {
  id: string;
  branch: string;
  /** Whether there still is a branch of that name that this is of. */
  branchExists: boolean;
  /** It comes back by itself when the branch is entered. */
  automatic: boolean;
  reason: 'switch' | 'branched' | 'vanished' | 'conflict' | 'replaced';
  files: number;
  bytes: number;
  /** How many of the files the store has; the others are on the shelf alone. */
  stored: number;
  createdAt: number;
  /** In the trash since. */
  droppedAt: number | null;
}

export const stashList = request<{ stashes: StashSummary[] }>()('stash/list', v.object({ root }));

export const stashShow = request<{ stash: StashSummary; files: { path: string; bytes: number; stored: boolean }[] }>()(
  'stash/show',
  v.object({ root, stash: text }),
);

/** Puts files back to their places, or below `directory`. What is in the way stays, and so does the stashed file. */
export const stashRestore = request<{ restored: string[]; conflicts: string[] }>()(
  'stash/restore',
  v.object({ root, stash: text, directory: v.optional(text) }),
);

/** Into the trash, which is emptied after 7 days; `undo` takes it out again: that one, or the newest. */
export const stashDrop = request<{ stash: StashSummary }>()(
  'stash/drop',
  v.object({ root, stash: v.optional(text), undo: v.optional(v.boolean()) }),
);

// ---- back ends of TensorFlow.js ----

/**
 * All of them, each tried on this machine unless that was done before; `again`: all anew. `auto`: what a training would take.
 * Loads packages of the project, and so fails with `untrusted` where nobody trusts it, unless `ownOnly`.
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
    /** Nothing of what the folder itself brings is loaded: those packages are named as `untried`. */
    ownOnly: v.optional(v.boolean()),
  }),
);

// ---- run ----

const launchOptions = {
  root,
  environment,
  /** The Python that a leading `python` means; absent: the one of the environment. */
  interpreter: v.optional(text),
  /** Wait until no other run of this daemon is live. */
  queue: v.optional(v.boolean()),
  /** How often a crash (failed or lost, not by a reboot) starts the run again from its newest checkpoint. */
  restarts: v.optional(count),
  backend: v.optional(text),
  /** For a job that names none; without it, `auto`. */
  backendSetting: v.optional(text),
  /**
   * Words between a Python and its script that start a debugger in the same process: of this session alone, not of those
   * after a crash. Fails with `notPython` for anything else.
   */
  debugger: v.optional(v.pipe(v.array(word), v.minLength(1))),
};

export const runStart = request<Run>()(
  'run/start',
  v.object({
    ...launchOptions,
    /** A job's name; with `command`, what the run is called after. */
    job: text,
    params,
    seed: v.optional(count),
    /** Run this, without a job. The first word may be `python`. */
    command: v.optional(v.pipe(v.array(word), v.minLength(1))),
    /** Folder that `command` starts in: absolute, inside the project. */
    cwd: v.optional(text),
  }),
);

const resumeOptions = {
  ...launchOptions,
  /** Empty: the newest paused, failed, lost or stopped run of this branch. */
  run: v.optional(text),
  /** A step, a checkpoint's id, a tag, `best` or `last` (the default). */
  from: v.optional(text),
  /** What is run instead of the masked words of a run without a job. */
  command: v.optional(v.pipe(v.array(word), v.minLength(1))),
  /** Params that get a new value. */
  set: v.optional(params),
  /** Params that take today's value of the job instead of the checkpoint's. */
  current: v.optional(v.array(text)),
};

/** What differs from when the checkpoint was made. Changes nothing. */
export const runPreflight = request<{ run: Run; checkpoint: Checkpoint | null; differences: PreflightDifference[] }>()(
  'run/preflight',
  v.object(resumeOptions),
);

/** Fails with `preflightDiffers` unless `accept` or nothing differs. */
export const runResume = request<Run>()('run/resume', v.object({ ...resumeOptions, accept: v.boolean() }));

/** A new run that starts from a checkpoint of another. */
export const runFork = request<Run>()('run/fork', v.object({ ...resumeOptions, accept: v.boolean() }));

const oneRun = v.object({ root, run: text });

/**
 * Asks for a pause at the next step boundary. Resolves at once; `run/changed` tells the rest. Fails with `pauseLoses` for a
 * script that cannot save when asked, unless `accept`: then it is ended.
 */
export const runPause = request<Run>()('run/pause', v.object({ root, run: text, accept: v.optional(v.boolean()) }));

/** Types into the terminal of a live command, or gives it another size. */
export const runInput = request<Record<string, never>>()(
  'run/input',
  v.object({ root, run: text, text: v.optional(v.string()), columns: v.optional(count), rows: v.optional(count) }),
);

/** `force` kills a trainer that does not answer; what it did since its last checkpoint is lost. */
export const runStop = request<Run>()('run/stop', v.object({ root, run: text, force: v.optional(v.boolean()) }));

/** Resolves when the checkpoint is in the store. */
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
    /** `next` of the page before. */
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
 * What queued runs may be launched with whose own environment went with an earlier daemon. Resolves when they have been
 * looked at.
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

/** `sides`: runs, checkpoints (`RUN@STEP`), or one `main..idea` for the best runs of two branches. */
export const diffShow = request<Diff>()(
  'diff/show',
  v.object({
    root,
    sides: v.pipe(v.array(text), v.maxLength(8)),
    /** What curves are aligned by; without it by steps. */
    axis: v.optional(v.picklist(['step', 'epoch', 'time'])),
  }),
);

const task = v.optional(text);

/** The tensors of two checkpoints (of a run: its newest). `mapping`: beginnings of names that are others in the second. */
export const diffWeights = request<WeightsDiff>()(
  'diff/weights',
  v.object({
    root,
    sides: v.pipe(v.array(text), v.minLength(1), v.maxLength(2)),
    mapping: v.optional(v.pipe(v.array(v.object({ from: text, to: text })), v.maxLength(100))),
    task,
  }),
);

/** A file of a code snapshot, in base64, from `offset` on; empty past its end. `code` as in `DiffSide`. */
export const codeRead = request<{ bytes: string; size: number }>()(
  'code/read',
  v.object({ root, code: v.pipe(v.string(), v.regex(/^[0-9a-f]{40,64}$/)), path: text, offset: v.optional(count) }),
);

/** All files of a run's or checkpoint's code snapshot, into a new folder; `leftOut`: those that were too large to keep. */
export const codeRestore = request<{ directory: string; files: number; leftOut: string[] }>()(
  'code/restore',
  v.object({ root, source: text, directory: text }),
);

// ---- export ----

/** Which formats it can have, and why not others. `source`: a checkpoint, or a run for its newest and its metrics. */
export const exportFormats = request<{ formats: ExportFormat[] }>()('export/formats', v.object({ root, source: text }));

/** `path` is absolute, and must not exist unless `force`. */
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
    /** Of the folder, for a leading `python`. */
    interpreter: v.optional(text),
    task,
  }),
);

// ---- files ----

/**
 * Tells what a checkpoint file holds, in pages. Nothing in it is run. `path` is absolute; `statistics` are of the tensors of
 * the page; `filter` is a part of names, whatever its case; `limit` bounds the tensors of the page.
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
    /** Each bucket keeps its smallest and its largest value. */
    buckets: v.optional(count),
  }),
);

/**
 * `offset` counts bytes of all that was ever printed; a line in the text says how many of them are no longer kept. With
 * `last` reading begins that many bytes before the end instead. `ended`: no more will come.
 */
export const logRead = request<{ text: string; offset: number; ended: boolean }>()(
  'log/read',
  v.object({ root, run: text, session: v.optional(text), offset: count, last: v.optional(count) }),
);

// ---- store ----

/** How long what was removed can be brought back; a store at its quota deletes it earlier. */
export const TRASH_DAYS = 7;

/** Everything that emptying the trash deletes for good. Lists are bounded; counts and bytes are of all. */
export interface Trash {
  runs: {
    id: string;
    number: number;
    name: string;
    branch: string | null;
    trashedAt: number;
    /** Those that went with it. */
    checkpoints: number;
    bytes: number;
  }[];
  /** Those of runs that are still there. `run` and `number` name the run. */
  checkpoints: {
    id: string;
    run: string;
    number: number;
    branch: string | null;
    step: number;
    bytes: number;
    trashedAt: number;
  }[];
  /** Stashes that were dropped. */
  stashes: StashSummary[];
  counts: { runs: number; checkpoints: number };
  /** All checkpoints in it, before dedup. */
  bytes: number;
}
export const storeTrash = request<Trash>()('store/trash', v.object({ root }));

export const storeGc = request<{ removedCheckpoints: number; removedChunks: number; returnedBytes: number }>()(
  'store/gc',
  v.object({ root, emptyTrash: v.optional(v.boolean()) }),
);

/**
 * Makes the store as small as it gets, which it otherwise does when there is nothing else to do. A task: bytes of checkpoints.
 * `noRoom`: less was done than could be, since the disk is nearly full.
 */
export const storePack = request<{ savedBytes: number; noRoom: boolean }>()(
  'store/pack',
  v.object({ root, task: v.optional(text) }),
);

/** A checkpoint with what it is kept for; without a reason it goes when there are newer ones. */
export interface KeptCheckpoint {
  checkpoint: Checkpoint;
  reasons: string[];
}
/** `bytes`: before dedup. */
export interface KeptRun {
  run: string;
  name: string;
  branch: string | null;
  bytes: number;
  /** The newest of them. */
  checkpoints: KeptCheckpoint[];
  /** How many older ones are not listed, since an answer is bounded. */
  more: number;
}
/** Of the 50 runs that hold most, or of one. */
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
  /** Places where secrets are, or were, in clear; each shortened so that its owner knows it again. */
  findings: { place: string; secrets: string[] }[];
  /** How many places are not listed, since an answer is bounded. */
  more: number;
  masked: boolean;
  /** Names of live runs, whose records were left alone. */
  live: string[];
  /** Ids of checkpoints with params that look like secrets inside of their own files, which never change. */
  inside: string[];
  /** Older copies of the catalog that cannot be opened. */
  unreadable: string[];
  /** Files that still hold one of the secrets after everything was masked. */
  remaining: string[];
}

/** Finds secrets that older versions wrote in clear, and masks them with `apply`. `logs`: also in what scripts printed. */
export const storeScrub = request<ScrubReport>()(
  'store/scrub',
  v.object({ root, apply: v.boolean(), logs: v.optional(v.boolean()) }),
);

/** All checkpoints back as plain files, metrics as CSV; then the store is removed. */
export const storeEject = request<{ directory: string; checkpoints: number; bytes: number }>()(
  'store/eject',
  v.object({ root, directory: text }),
);

// ---- notifications: whole records, with the revision they belong to; `store` names the project, whatever its worktree ----

/** HEAD moved, trust was given. */
export const projectChanged: Notification<{ revision: number; project: Project }> = { method: 'project/changed' };

/** The last thing an orderly daemon says: without it, it was killed. Trainings go on. */
export const daemonLeaving: Notification<{ reason: 'asked' | 'handOver' | 'other' }> = { method: 'daemon/leaving' };

export const runChanged: Notification<{ store: string; revision: number; run: Run }> = { method: 'run/changed' };

export const checkpointChanged: Notification<{ store: string; revision: number; checkpoint: Checkpoint }> = {
  method: 'checkpoint/changed',
};

/** Lossy, at most 10 a second a run. */
export const metricsAppended: Notification<{ store: string; run: string; step: number; values: MetricSeries[] }> = {
  method: 'metrics/appended',
};

export const noticeRaised: Notification<{ store: string; run: string | null; notice: Notice }> = {
  method: 'notice/raised',
};

/** To the client alone that named its request so in `task`; lossy, some ten a second. In bytes. */
export const taskProgressed: Notification<{ task: string; done: number; total: number }> = {
  method: 'task/progressed',
};
