/** Grades what a script's own files can restore by the names in them, and dates them by their values. Pure. */
import { described, kept, lost } from '../protocol/ingredients.ts';
import { type ContentFacts, NO_FACTS } from './content-facts.ts';

export type FileGrade = ReturnType<typeof described> & ContentFacts;

/** The facts known about the files of a checkpoint. */
export interface KnownFiles {
  /** True if a name suggests optimizer state, or random state. */
  optimizer: boolean;
  random: boolean;
  /** The reason why a file was not inspected, or only partly; null: all were. */
  problem: string | null;
  /** The moment when they were made. */
  facts: ContentFacts;
}

const OPTIMIZER = /(^|[^a-z])(optim(izer)?s?(_states?)?|opt|exp_avg|momentum_buffer|pdopt)([^a-z]|$)/i;
const RANDOM = /(^|[^a-z])(rng|random)(_states?)?([^a-z]|$)/i;

export function gradeOf({ optimizer, random, problem, facts }: KnownFiles): FileGrade {
  const ingredients = [
    kept('weights', 'weights'),
    ...(problem === null ? [] : [lost('other', 'files that could not be inspected', problem)]),
    optimizer ? kept('optimizer', 'optimizer') : lost('optimizer', 'the optimizer’s state', null),
    // The name shows that random states are saved, not that the script restores them.
    ...(random ? [] : [lost('random', 'random numbers', null)]),
    lost('data', 'the place in the data', null),
  ];
  return { ...described(ingredients), ...facts };
}

/** Infers what a checkpoint holds from the names of its files, tensors and values. */
export function factsOfNames(names: Iterable<string>, problem: string | null): KnownFiles {
  const known = { optimizer: false, random: false, problem, facts: NO_FACTS };
  for (const name of names) {
    known.optimizer ||= OPTIMIZER.test(name);
    known.random ||= RANDOM.test(name);
  }
  return known;
}
