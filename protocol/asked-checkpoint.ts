/**
 * The question of a script that was started by hand for its last checkpoint, and the answer of the daemon that has the
 * store open:
 *
 *     <store>/asked/<id>.json         the question; removed by the daemon as soon as it has read it
 *     <store>/asked/<id>/answer.json  the answer, written last; the checkpoint's files, if there is one, are beside it
 */
import * as v from 'valibot';
import { allocationSchema } from './allocation.ts';
import { idSchema } from './session.ts';

export const ASKED_FOLDER = 'asked';
export const ANSWER_FILE = 'answer.json';

export const questionSchema = v.object({
  /** Name of the script's runs. */
  job: v.string(),
  branch: v.nullable(v.string()),
  /** Path of the notebook in the project: others of its name have runs of their own. Absent: a script, or one that nobody knows. */
  notebook: v.optional(v.nullable(v.string())),
  /** Id of the checkpoint that is wanted; absent: the last one. */
  checkpoint: v.optional(idSchema),
  /** Allocation whose earlier lives alone count; absent: all runs of the script do. */
  allocation: v.optional(v.nullable(allocationSchema)),
});

/** Answer to a question. `checkpoint` null: there is none. `error`: there is one, but it cannot be provided. */
export interface CheckpointAnswer {
  checkpoint: string | null;
  step: number;
  createdAt: number;
  run: string | null;
  error: string | null;
}
