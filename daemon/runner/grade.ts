/** What a script's own files can give back, by the names in them, and when they were made, by their values. Pure. */
import { described, kept, lost } from '../../protocol/ingredients.ts';
import { type ContentFacts, NO_FACTS } from './content-facts.ts';

export type FileGrade = ReturnType<typeof described> & ContentFacts;

/** What is known of the files of a checkpoint. */
export interface KnownFiles {
  /** A place of optimizer state, of random numbers, is among the names. */
  optimizer: boolean;
  random: boolean;
  /** Why a file could not be looked into, or not all of it; null: all were. */
  problem: string | null;
  /** When they were made. */
  facts: ContentFacts;
}

const OPTIMIZER = /(^|[^a-z])(optim(izer)?s?(_states?)?|opt|exp_avg|momentum_buffer|pdopt)([^a-z]|$)/i;
const RANDOM = /(^|[^a-z])(rng|random)(_states?)?([^a-z]|$)/i;

export function gradeOf({ optimizer, random, problem, facts }: KnownFiles): FileGrade {
  const ingredients = [
    kept('weights', 'weights'),
    ...(problem === null ? [] : [lost('other', 'what could not be looked into', problem)]),
    optimizer ? kept('optimizer', 'optimizer') : lost('optimizer', 'the optimizer’s state', null),
    // A name tells that they are there, and not that the script puts them back.
    ...(random ? [] : [lost('random', 'random numbers', null)]),
    lost('data', 'the place in the data', null),
  ];
  return { ...described(ingredients), ...facts };
}

/** Names of files, tensors and values tell what a checkpoint holds. */
export function knownBy(names: Iterable<string>, problem: string | null): KnownFiles {
  const known = { optimizer: false, random: false, problem, facts: NO_FACTS };
  for (const name of names) {
    known.optimizer ||= OPTIMIZER.test(name);
    known.random ||= RANDOM.test(name);
  }
  return known;
}
