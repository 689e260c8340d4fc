/** Errors for requests to a run. */
import type { Checkpoint, Run } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { duration, integer } from '../../protocol/words.ts';
import type { Place } from '../code/project.ts';
import { newestGood } from '../store/maintenance/retention.ts';

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
  const question = `The script of ${run.name} only saves by itself. Stopping it now means going ${back} (${duration(seconds)} lost).`;
  return new TrainstashError('pauseLoses', `${question} Nothing was done; use --yes to stop it anyway.`, {
    question,
    run: run.id,
    step: run.step,
    checkpointStep: newest?.step ?? null,
    seconds,
  });
}

export function cannotSave(run: Run): TrainstashError {
  return new TrainstashError(
    'wrongStatus',
    `The script of ${run.name} only saves by itself; Trainstash stores its next file when it appears. A script that uses the trainstash package saves on request. Nothing was done.`,
    { run: run.id, status: run.status, allowed: [] },
  );
}

export function notPython(program: string): TrainstashError {
  return new TrainstashError(
    'notPython',
    `Only a command that Python itself runs can be debugged, but this one starts with "${program}". Nothing was started.`,
    { program },
  );
}

/** Makes the error for a store that this user has not made on this machine. */
export function madeElsewhere({ store, root }: Place): TrainstashError<'storeElsewhere'> {
  return new TrainstashError(
    'storeElsewhere',
    `This store was made elsewhere: by another user or on another machine, or it is a copy (${store}). Using it would run the commands in it and write files to the paths in it. Nothing was started or written. If you know where it comes from, accept it once with --trust; \`trainstash ls\` and \`show\` work without that.`,
    { store, root },
  );
}

/** Makes the error of a run in the trash that would be deleted whatever is done with it. */
export function runInTrash({ name, number }: Run): TrainstashError {
  return new TrainstashError(
    'protectedBy',
    `${name} is in the trash. Nothing was changed; \`trainstash rm ${number} --undo\` restores it first.`,
    { what: name, reasons: ['it is in the trash'] },
  );
}

/** Makes the refusal of a store on a network, where no folder of this machine is known. */
export function onNetwork(path: string, network: string): TrainstashError<'storeOnNetwork'> {
  return new TrainstashError(
    'storeOnNetwork',
    `${path} is on a network or pass-through file system (${network}), where database locks do not hold, and so is this machine's own state. Nothing was written. Name a folder on a local disk of this machine once, and the store stands there: \`trainstash where --stores /scratch/me\`. Until then, scripts that are started by hand keep their newest checkpoints in the project, for \`resume="last"\`.`,
    { path, network },
  );
}
