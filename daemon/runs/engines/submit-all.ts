/** Submits several runs at once. */
import { randomId } from '../../../protocol/ids.ts';
import { AnswerLost, type Engine, type Submission, type Submitted } from '../../engines/contract.ts';

export interface PreparedPlace {
  place: string;
  /** Variables with the words and params that records mask. */
  secrets: Record<string, string>;
}

/** Places that are submitted as one job, or as one array. */
export interface Group<Place extends PreparedPlace> {
  key: string;
  places: readonly [Place, ...Place[]];
}

/** Place with its job. Null: the engine's answer was lost, so that the job has to be found by its key. */
export type SubmittedPlace<Place extends PreparedPlace> = Place & { job: string | null; submitted: Submitted | null };

/** Error for a submission of several groups of which some were refused. */
export class SubmissionFailed<Place extends PreparedPlace> extends Error {
  override readonly cause: unknown;
  /** Places whose jobs could not be cancelled, or are not known. */
  readonly left: readonly SubmittedPlace<Place>[];

  constructor(cause: unknown, left: readonly SubmittedPlace<Place>[]) {
    super('a submission failed');
    this.cause = cause;
    this.left = left;
  }
}

export function groupsOf<Place extends PreparedPlace>(places: readonly [Place, ...Place[]]): Group<Place>[] {
  // Tasks of an array have one environment, which would give the secret command of one to all.
  const groups = places.some(hasSecrets) ? places.map((one): [Place] => [one]) : [places];
  return groups.map((group) => ({ key: randomId(), places: group }));
}

/** Submits all groups or none. Throws `SubmissionFailed`. */
export async function submitAll<Place extends PreparedPlace>(
  engine: Pick<Engine, 'submit' | 'cancel'>,
  groups: readonly Group<Place>[],
  work: Omit<Submission, 'places' | 'secrets' | 'key'>,
): Promise<SubmittedPlace<Place>[]> {
  const done: SubmittedPlace<Place>[] = [];
  for (const { key, places } of groups) {
    const [first, ...rest] = places.map(({ place }) => place);
    try {
      const submitted = await engine.submit({ ...work, key, places: [first!, ...rest], secrets: places[0].secrets });
      done.push(...places.map((one, i) => ({ ...one, job: submitted.jobs[i]!, submitted })));
    } catch (error) {
      if (!(error instanceof AnswerLost)) throw new SubmissionFailed(error, await cancelAll(engine, done));
      done.push(...places.map((one) => ({ ...one, job: null, submitted: null })));
    }
  }
  return done;
}

/** Cancels jobs. Returns those that may go on. */
export async function cancelAll<Place extends PreparedPlace>(
  engine: Pick<Engine, 'cancel'>,
  places: readonly SubmittedPlace<Place>[],
): Promise<SubmittedPlace<Place>[]> {
  const left: SubmittedPlace<Place>[] = [];
  for (const place of places) {
    const isCancelled =
      place.job !== null &&
      (await engine.cancel(place.job).then(
        () => true,
        () => false,
      ));
    if (!isCancelled) left.push(place);
  }
  return left;
}

export function hasSecrets({ secrets }: PreparedPlace): boolean {
  return Object.keys(secrets).length > 0;
}
