/** Messages about runs. */
import * as v from 'valibot';
import { gpuDemandSchema } from '../devices.ts';
import type { Checkpoint, Notice, Run, Session } from '../domain.ts';
import type { PreflightDifference } from '../errors.ts';
import type { Notification } from './request.ts';
import { count, environment, params, request, root, task, text, word } from './request.ts';

const launchOptions = {
  root,
  environment,
  /** Interpreter that a leading `python` stands for; absent: the one of the environment. */
  interpreter: v.optional(text),
  /** True to wait for the devices that the run wants: without a demand, until no other run of this daemon is live. */
  queue: v.optional(v.boolean()),
  gpu: v.optional(gpuDemandSchema),
  maxHours: v.optional(v.pipe(v.number(), v.minValue(0.001))),
  maxSteps: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  /** Place in the queue; higher ones go first. */
  priority: v.optional(v.pipe(v.number(), v.integer(), v.minValue(-1_000), v.maxValue(1_000))),
  /** Run of this project that must have completed first. */
  after: v.optional(text),
  /** Time before which the run does not start. */
  at: v.optional(v.number()),
  /**
   * `interrupt`: the live runs in the way are asked for a checkpoint, end, and go on afterwards; fails with `interruptLoses` if one of
   * them cannot save on request and is not in `accepted`. `wait`: the run goes first, and interrupts nobody.
   */
  urgent: v.optional(v.picklist(['interrupt', 'wait'])),
  accepted: v.optional(v.array(text)),
  /** Maximum number of restarts from the newest checkpoint after a crash (failed or lost, but not by a reboot). */
  restarts: v.optional(count),
  /** Engine that it is sent to, and its number of nodes; `here`: this machine. Absent: as the job says. */
  engine: v.optional(text),
  nodes: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1))),
  backend: v.optional(text),
  /** Backend for a job that names none; absent: `auto`. */
  backendSetting: v.optional(text),
  /**
   * Arguments inserted between the interpreter and the script that start a debugger in the same process. They hold for this
   * session only, not for restarts after a crash. Fails with `notPython` for other commands.
   */
  debugger: v.optional(v.pipe(v.array(word), v.minLength(1))),
};

const startOptions = {
  ...launchOptions,
  /** Name of a job; with `command`, the name that the run gets. */
  job: text,
  params,
  seed: v.optional(count),
  /** Command to run without a job. The first word may be `python`. */
  command: v.optional(v.pipe(v.array(word), v.minLength(1))),
  /** Working directory of `command`: absolute, inside the project. */
  cwd: v.optional(text),
};

export const runStart = request<Run>()('run/start', v.object(startOptions));

/** Starts a run for each set of params, which are added to `params`: on an engine as one array, else one after the other. */
export const runStartArray = request<Run[]>()(
  'run/startArray',
  v.object({ ...startOptions, sets: v.pipe(v.array(params), v.minLength(1), v.maxLength(1_000)) }),
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
/** Code to run: that of the checkpoint, in a private copy of the worktree as it was, or that in the tree (the default). */
const code = v.optional(v.picklist(['then', 'now']));

/** Compares the present with the time when the checkpoint was made. Changes nothing. */
export const runPreflight = request<{ run: Run; checkpoint: Checkpoint | null; differences: PreflightDifference[] }>()(
  'run/preflight',
  v.object({ ...resumeOptions, code }),
);

/** Resumes a run. Fails with `preflightDiffers` unless `accept` is set or nothing differs. */
export const runResume = request<Run>()('run/resume', v.object({ ...resumeOptions, code, accept: v.boolean() }));

/**
 * Makes the environment that the lock file of a checkpoint's own code describes, in Trainstash's folder; an earlier one is kept. Its
 * Python is the `interpreter` of a resume with the original code. Fails with `environmentFailed`; then no part of it is left.
 */
export const runEnvironment = request<{ python: string; folder: string; lock: string; isNew: boolean }>()(
  'run/environment',
  v.object({ root, environment, interpreter: v.optional(text), run: v.optional(text), from: v.optional(text), task }),
);

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

/**
 * Moves a run or a checkpoint to the trash, or takes it out again. Of several targets all move, or none if one of them may not;
 * `each` has one entry for each that moved.
 */
export const runRemove = request<Removal & { each: Removal[] }>()(
  'run/remove',
  v.object({
    root,
    target: v.union([text, v.pipe(v.array(text), v.minLength(1), v.maxLength(1_000))]),
    undo: v.optional(v.boolean()),
  }),
);

/** Name of a run and ids of its checkpoints, or the id of a checkpoint. */
export interface Removal {
  removed: string[];
  bytes: number;
}

/**
 * Supplies an environment for queued runs whose own was lost with an earlier daemon. Resolves when those runs have been
 * considered.
 */
export const queueSupply = request<Record<string, never>>()(
  'queue/supply',
  v.object({ root, environment, interpreter: v.optional(text) }),
);

export const runChanged: Notification<{ store: string; revision: number; run: Run }> = { method: 'run/changed' };

export const noticeRaised: Notification<{ store: string; run: string | null; notice: Notice }> = {
  method: 'notice/raised',
};
