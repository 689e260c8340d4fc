/** Errors for requests to a run. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { duration, integer } from '../../protocol/words.ts';
import type { Place } from '../code/project.ts';
import { newestGood } from '../store/retention.ts';

export function wrongStatus(run: Run, allowed: readonly string[], verb: string): TrainstashError {
  const message = `${run.name} is ${run.status}, so it cannot be ${verb}. Nothing was changed.`;
  return new TrainstashError('wrongStatus', message, { run: run.id, status: run.status, allowed: [...allowed] });
}

/** Makes the error for a script that cannot save when asked: ending it now loses steps. */
export function pauseLoses(run: Run, checkpoints: readonly Checkpoint[]): TrainstashError {
  const newest = newestGood(checkpoints, run.monitor) ?? null;
  const seconds = Math.round((Date.now() - (newest?.createdAt ?? run.startedAt ?? run.createdAt)) / 1000);
  const back = newest
    ? `back to step ${integer(newest.step)}`
    : 'back to the beginning, since it has saved nothing yet';
  return new TrainstashError(
    'pauseLoses',
    `The script of ${run.name} saves by itself only. Stop now: ${back} (${duration(seconds)} lost). Nothing was done; --yes stops it all the same.`,
    { run: run.id, step: run.step, checkpointStep: newest?.step ?? null, seconds },
  );
}

export function cannotSave(run: Run): TrainstashError {
  return new TrainstashError(
    'wrongStatus',
    `The script of ${run.name} saves by itself only; its next file is taken in when it comes. With the trainstash package in it, it saves when asked. Nothing was done.`,
    { run: run.id, status: run.status, allowed: [] },
  );
}

export function notPython(program: string): TrainstashError {
  return new TrainstashError(
    'notPython',
    `Only what Python itself runs can be debugged, and this begins with "${program}". Nothing was started.`,
    { program },
  );
}

/** Makes the error for a store that this user has not made on this machine. */
export function madeElsewhere({ store, root }: Place): TrainstashError<'storeElsewhere'> {
  return new TrainstashError(
    'storeElsewhere',
    `This store was made elsewhere: by another user or on another machine, or it is a copy (${store}). What it says would be run, and its files would be put where it says. Nothing was started or written. If you know where it comes from, say so once with --trust; \`trainstash ls\` and \`show\` look at it without.`,
    { store, root },
  );
}
