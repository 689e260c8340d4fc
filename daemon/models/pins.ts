/** Pins: what is pinned is never deleted, until the pin is taken away. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { isError, TrainstashError } from '../../protocol/errors.ts';
import type { Pinned } from '../../protocol/messages/keep.ts';
import { runInTrash } from '../runs/errors.ts';
import type { OpenProject } from '../runs/project.ts';

/** Pins runs and checkpoints, or takes their pins away: all, or none. Rejects with `notFound`, `protectedBy`. */
export async function setPins(project: OpenProject, targets: readonly string[], pinned: boolean): Promise<Pinned[]> {
  const found: Pinned[] = [];
  for (const target of targets) found.push(await find(project, target));
  const changed: Pinned[] = [];
  for (const { run, checkpoint } of found) {
    changed.push({
      run: run && (await pinRun(project, run, pinned)),
      checkpoint: checkpoint && (await pinCheckpoint(project, checkpoint, pinned)),
    });
  }
  return changed;
}

async function find(project: OpenProject, target: string): Promise<Pinned> {
  const run = await project.store.findRun(target).catch((error: unknown) => {
    if (isError(error, 'notFound')) return null;
    throw error;
  });
  if (run && run.trashedAt !== null) throw runInTrash(run);
  if (run) return { run, checkpoint: null };
  const checkpoint = await project.findCheckpoint(target).catch((error: unknown) => {
    if (!isError(error, 'notFound') || target.includes('@')) throw error;
    throw new TrainstashError(
      'notFound',
      `There is no run or checkpoint "${target}". Nothing was changed; \`trainstash ls --all\` lists the runs.`,
      { what: 'run', query: target },
    );
  });
  requireOutOfTrash(checkpoint);
  return { run: null, checkpoint };
}

async function pinCheckpoint(
  { store, context }: OpenProject,
  { id }: Checkpoint,
  pinned: boolean,
): Promise<Checkpoint> {
  const changed = await store.pinCheckpoint(id, pinned);
  context.announce.checkpoint(changed);
  return changed;
}

async function pinRun(project: OpenProject, run: Run, pinned: boolean): Promise<Run> {
  for (const checkpoint of await project.store.pinCheckpointsOf(run, pinned))
    project.context.announce.checkpoint(checkpoint);
  // A draft is deleted after a day, whatever it has.
  return project.runs.change(run.id, { set: pinned ? { pinned: true, draft: false } : { pinned: undefined } });
}

/** Refuses a checkpoint that is about to be deleted anyway. */
export function requireOutOfTrash({ id, trashedAt }: Checkpoint): void {
  if (trashedAt === null) return;
  throw new TrainstashError(
    'protectedBy',
    `Checkpoint ${id} is in the trash. Nothing was changed; \`trainstash rm ${id} --undo\` restores it first.`,
    { what: id, reasons: ['it is in the trash'] },
  );
}
