/** Answers scripts that were started by hand and ask for their last checkpoint; see `protocol/asked-checkpoint.ts`. */
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { readJson, writeJson } from '../../../base/files.ts';
import { inside } from '../../../base/inside.ts';
import {
  ANSWER_FILE,
  ASKED_FOLDER,
  type CheckpointAnswer,
  questionSchema,
} from '../../../protocol/asked-checkpoint.ts';
import type { Checkpoint, Run } from '../../../protocol/domain.ts';
import { toWire } from '../../../protocol/errors.ts';
import { TORCH_STATE_FILE } from '../../../protocol/session.ts';
import { isDiverged } from '../../store/maintenance/retention.ts';
import type { ProjectContext } from '../context.ts';

const QUESTION = /^([0-9a-z]{12})\.json$/;
/** Lifetime of an answer that nobody fetched: the script, or a daemon, was killed meanwhile. */
const ANSWER_LIFETIME_MS = 86_400_000;

export async function answerScripts(context: ProjectContext): Promise<void> {
  const folder = inside(context.place.store, ASKED_FOLDER);
  for (const name of namesIn(folder)) {
    const path = join(folder, name);
    const [, id] = name.match(QUESTION) ?? [];
    if (id) await answer(context, path, inside(folder, id));
    else if (
      Date.now() - (lstatSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Number.POSITIVE_INFINITY) >
      ANSWER_LIFETIME_MS
    )
      rmSync(path, { recursive: true, force: true });
  }
}

async function answer(context: ProjectContext, question: string, directory: string): Promise<void> {
  const parsed = v.safeParse(questionSchema, readJson(question));
  rmSync(question, { force: true });
  if (!parsed.success) return;
  let reply: CheckpointAnswer = { checkpoint: null, step: 0, createdAt: 0, run: null, error: null };
  try {
    const found = await lastCheckpoint(context, parsed.output.job, parsed.output.branch);
    if (found) {
      const { run, checkpoint } = found;
      await context.store.restoreCheckpoint(checkpoint.id, directory);
      const { id, step, createdAt } = checkpoint;
      reply = { checkpoint: id, step, createdAt, run: run.name, error: null };
    }
  } catch (error) {
    reply.error = toWire(error).message;
  }
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  writeJson(join(directory, ANSWER_FILE), reply);
}

/**
 * Finds the last checkpoint that a script can read, in the newest run of that name on that branch; a diverged one comes
 * last.
 */
async function lastCheckpoint(
  { store }: ProjectContext,
  job: string,
  branch: string | null,
): Promise<{ run: Run; checkpoint: Checkpoint } | null> {
  for (let before: number | null = null; ; ) {
    const { runs } = await store.runs({ branch, drafts: true, trashed: false, before, limit: 100 });
    for (const run of runs) {
      if (run.job !== job) continue;
      const newest = (await store.checkpoints(run.id)).reverse();
      const isBad = (checkpoint: Checkpoint) => Number(isDiverged(checkpoint, run.monitor));
      for (const checkpoint of newest.toSorted((a, b) => isBad(a) - isBad(b))) {
        const facts = await store.checkpointFacts(checkpoint.id);
        if (facts?.checkpoint?.files.some(({ name }) => name === TORCH_STATE_FILE)) return { run, checkpoint };
      }
    }
    const last = runs.at(-1);
    if (!last) return null;
    before = last.number;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}
