/**
 * The share of generated and repeated cases that `npm test` runs: one or a few of each kind, others each time. `npm run test:full` runs
 * all of them.
 */
import { Random } from '../../trainer/random.ts';

/** True in a run of all cases. */
export const FULL: boolean = Boolean(process.env.TRAINSTASH_TEST_FULL);

const SEED = Number(process.env.TRAINSTASH_TEST_SEED ?? 1);
const random = Random.seeded(SEED);

/** Returns all cases, or as many as `count` that the seed of this run draws, in their order. */
export function sample<Case>(cases: readonly Case[], count = 1): Case[] {
  const left = [...cases];
  if (!FULL) while (left.length > count) left.splice(Math.floor(random.float() * left.length), 1);
  return left;
}

/** Returns all cases, or a drawn one of each kind. */
export function sampleOfEach<Case>(cases: readonly Case[], kindOf: (one: Case) => unknown): Case[] {
  const kinds = [...new Set(cases.map(kindOf))];
  const drawn = kinds.flatMap((kind) => sample(cases.filter((one) => kindOf(one) === kind)));
  return cases.filter((one) => drawn.includes(one));
}

/** Tells whether this run has that test of a kind of which there are `of`, in whatever files: they take turns. */
export function hasTurn(kind: string, turn: number, of: number): boolean {
  const letters = [...kind].map((letter) => letter.charCodeAt(0));
  return FULL || Math.floor(Random.seeded(SEED, ...letters).float() * of) === turn;
}
