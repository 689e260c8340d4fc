/**
 * The question of a script that was started by hand for its last checkpoint, and the answer of the daemon that has the
 * store open:
 *
 *     <store>/asked/<id>.json         the question; removed by the daemon as soon as it has read it
 *     <store>/asked/<id>/answer.json  the answer, written last; the checkpoint's files, if there is one, are beside it
 */
import * as v from 'valibot';

export const ASKED_FOLDER = 'asked';
export const ANSWER_FILE = 'answer.json';

export const questionSchema = v.object({
  /** Name of the script's runs. */
  job: v.string(),
  branch: v.nullable(v.string()),
});

/** Answer to a question. `checkpoint` null: there is none. `error`: there is one, but it cannot be provided. */
export interface CheckpointAnswer {
  checkpoint: string | null;
  step: number;
  createdAt: number;
  run: string | null;
  error: string | null;
}
