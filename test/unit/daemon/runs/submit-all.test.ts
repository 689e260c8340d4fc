/** Several runs that are submitted to an engine at once. */
import { expect, test } from 'vitest';
import { AnswerLost, type Engine, type Submission } from '../../../../daemon/engines/contract.ts';
import { groupsOf, type PreparedPlace, submitAll } from '../../../../daemon/runs/engines/submit-all.ts';

const WORK = { name: 'train', program: ['node-run'], nodes: 1, graceSeconds: 30, environment: {} };

function engine({ refused = '', lost = '', keeps = '' } = {}) {
  const submitted: Submission[] = [];
  const cancelled: string[] = [];
  const made: Pick<Engine, 'submit' | 'cancel'> = {
    submit: async (work) => {
      if (work.places.includes(refused)) throw new Error('refused');
      if (work.places.includes(lost)) throw new AnswerLost('timed out');
      submitted.push(work);
      return { jobs: work.places.map((place) => `job of ${place}`), startsAgain: true, notices: [] };
    },
    cancel: async (job) => {
      if (job === `job of ${keeps}`) throw new Error('not now');
      cancelled.push(job);
    },
  };
  return { made, submitted, cancelled };
}

function places(isSecret: boolean, ...names: string[]): [PreparedPlace] {
  const secretsOf = (name: string): Record<string, string> => (isSecret ? { TRAINSTASH_COMMAND: name } : {});
  return names.map((place) => ({ place, secrets: secretsOf(place) })) as [PreparedPlace];
}

test('if one of several is refused, none stays, and those that could not be cancelled are named', async () => {
  const { made, cancelled } = engine({ refused: 'd', keeps: 'b', lost: 'c' });
  const failed = await submitAll(made, groupsOf(places(true, 'a', 'b', 'c', 'd')), WORK).catch((error) => error);
  expect(failed.cause.message).toBe('refused');
  expect(cancelled).toEqual(['job of a']);
  expect(failed.left.map(({ place, job }: { place: string; job: string | null }) => [place, job])).toEqual([
    ['b', 'job of b'],
    ['c', null],
  ]);
});

test('a job whose answer was lost has no number yet, and is no failure', async () => {
  const { made } = engine({ lost: 'b' });
  const jobs = await submitAll(made, groupsOf(places(true, 'a', 'b')), WORK);
  expect(jobs.map(({ job }) => job)).toEqual(['job of a', null]);
});

test('runs become one array, unless a command has secrets: each then gets its own', async () => {
  const { made, submitted } = engine();
  const plain = await submitAll(made, groupsOf(places(false, 'a', 'b')), WORK);
  expect(submitted.map((work) => work.places)).toEqual([['a', 'b']]);
  expect(plain.map(({ job }) => job)).toEqual(['job of a', 'job of b']);
  submitted.length = 0;
  const jobs = await submitAll(made, groupsOf(places(true, 'a', 'b')), WORK);
  expect(submitted.map((work) => [work.places, work.secrets])).toEqual([
    [['a'], { TRAINSTASH_COMMAND: 'a' }],
    [['b'], { TRAINSTASH_COMMAND: 'b' }],
  ]);
  expect(new Set(submitted.map(({ key }) => key)).size).toBe(2);
  expect(jobs.map(({ job }) => job)).toEqual(['job of a', 'job of b']);
});
