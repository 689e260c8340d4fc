/**
 * Task of a run on an engine: the folder that its nodes see, and the file in it from which `node-run` knows what to train.
 *
 *     <engine's folder>/
 *       programs/<build>/           node-run.js and the Python package, for all runs of that build
 *       code/<digest>/              a snapshot of the code
 *       runs/<run>/files/           the run's own folder, the same in all of its submissions
 *       runs/<run>/<submission>/    one place, as below: a later submission has a place of its own
 *         task.json                 what to train; written before it is submitted, never changed
 *         given/                    the checkpoint to begin from
 *         lives/<key>               the session of each life, for the other nodes of it
 *         sessions/<id>/            a session directory for each life
 *         job.log                   what the engine itself prints
 */
import * as v from 'valibot';
import { LAUNCHERS } from './engines.ts';
import { idSchema, launchSchema } from './session.ts';

export const PLACE_FILES = {
  task: 'task.json',
  given: 'given',
  lives: 'lives',
  sessions: 'sessions',
  log: 'job.log',
} as const;

/** File in a session's directory by which a later life asks an earlier one, which was believed dead, to save and end. */
export const SUPERSEDED_FILE = 'superseded';

/** Exit code of a process that was ended before its time and is to be started again: EX_TEMPFAIL of sysexits.h. */
export const AGAIN_CODE = 75;

export const taskSchema = v.object({
  format: v.literal(1),
  run: idSchema,
  /** Launch of each life, but for what differs between them: session, time, checkpoint and allocation. */
  launch: launchSchema,
  /** Seconds between a signal and the kill. */
  graceSeconds: v.number(),
  /** Number of lives after which it is not started again. One without a new step counts twice. */
  lives: v.number(),
  /** Folder with the Python package. */
  packages: v.string(),
  nodes: v.number(),
  launcher: v.picklist(LAUNCHERS),
});
export type Task = v.InferOutput<typeof taskSchema>;
