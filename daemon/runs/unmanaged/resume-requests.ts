/** Answers scripts that were started by hand and ask for their last checkpoint; see `protocol/asked-checkpoint.ts`. */
import { lstatSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { namesIn, readJson, writeJson } from '../../../base/files.ts';
import { inside } from '../../../base/inside.ts';
import type { Allocation } from '../../../protocol/allocation.ts';
import {
  ANSWER_FILE,
  ASKED_FOLDER,
  type CheckpointAnswer,
  questionSchema,
} from '../../../protocol/asked-checkpoint.ts';
import type { Checkpoint, Run, Session } from '../../../protocol/domain.ts';
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
    const found = parsed.output.checkpoint
      ? await checkpointOf(context, parsed.output.checkpoint)
      : await lastCheckpoint(context, parsed.output);
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

/** Finds a checkpoint of a process that goes on by itself; null: retention has removed it. */
async function checkpointOf({ store }: ProjectContext, id: string) {
  const facts = await store.checkpointFacts(id);
  return facts?.checkpoint && facts.run ? { run: facts.run, checkpoint: facts.checkpoint } : null;
}

/** Tells whether a run is of a notebook of the same name in another folder. */
function isOfAnother({ command }: Run, notebook: string | null | undefined): boolean {
  const word = command?.words.at(-1);
  return Boolean(notebook && word?.endsWith('.ipynb')) && join(command!.cwd, word!) !== notebook;
}

/**
 * Finds the last checkpoint that a script can read, in the newest run of that name on that branch; a diverged one comes
 * last.
 */
async function lastCheckpoint(
  { store }: ProjectContext,
  { job, branch, notebook, allocation: of }: v.InferOutput<typeof questionSchema>,
): Promise<{ run: Run; checkpoint: Checkpoint } | null> {
  for (let before: number | null = null; ; ) {
    const { runs } = await store.runs({ branch, drafts: true, trashed: false, before, limit: 100 });
    for (const run of runs) {
      if (run.job !== job || isOfAnother(run, notebook)) continue;
      if (of && !(await store.sessions(run.id)).some(({ allocation }) => isEarlierLife(allocation, of))) continue;
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

function isEarlierLife(one: Session['allocation'], of: Allocation): boolean {
  return one?.kind === of.kind && one.job === of.job && (one.restart ?? 0) < (of.restart ?? 0);
}
