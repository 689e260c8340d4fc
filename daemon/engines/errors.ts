/** Errors of all engines. */
import { TrainstashError } from '../../protocol/errors.ts';

export function unusable(engine: string, problem: string): TrainstashError<'engineUnusable'> {
  return new TrainstashError('engineUnusable', `${engine} cannot be used: ${problem}. Nothing was started.`, {
    engine,
    problem,
  });
}

export function unreachable(engine: string, reason: string): TrainstashError<'engineUnreachable'> {
  return new TrainstashError(
    'engineUnreachable',
    `${engine} does not answer: ${reason}. What runs there goes on. \`trainstash engine test ${engine}\` says which step fails.`,
    { engine, reason },
  );
}

export function notTaken(engine: string, reason: string): TrainstashError<'engineRefused'> {
  return new TrainstashError(
    'engineRefused',
    `${engine} did not take the job: ${reason}. Nothing was submitted. \`trainstash engine test ${engine}\` tries it with a job of one second.`,
    { engine, reason },
  );
}

/** `byHand`: command by which a person ends the job there. */
export function notCancelled(
  engine: string,
  job: string,
  reason: string,
  byHand: string,
): TrainstashError<'engineRefused'> {
  return new TrainstashError(
    'engineRefused',
    `${engine} did not cancel its job ${job}: ${reason}. It may go on there. Trainstash asks again by itself; \`${byHand}\` does it by hand.`,
    { engine, reason },
  );
}
