/**
 * Records differences that are found later. They lower the grade of every checkpoint with the same cause: as separate
 * rows, since the saved row never changes.
 */
import * as v from 'valibot';
import type { Checkpoint } from '../../../protocol/domain.ts';
import {
  INGREDIENT_KINDS,
  type Ingredient,
  type IngredientKind,
  lost,
  sentence,
} from '../../../protocol/ingredients.ts';
import type { CheckpointFile } from '../../../protocol/session.ts';

const doubtSchema = v.object({
  /** Ingredient that a resume does not restore. */
  ingredient: v.picklist(INGREDIENT_KINDS),
  /** Observation, for people. */
  text: v.string(),
  at: v.number(),
});
export type Doubt = v.InferOutput<typeof doubtSchema>;

/**
 * Ingredients whose cause is the position of the loop, not an object: only checkpoints at a similar position share it.
 */
const OF_THE_PLACE: readonly IngredientKind[] = ['data', 'loop', 'gradients'];

export function parseDoubt(text: string): Doubt | null {
  try {
    const parsed = v.safeParse(doubtSchema, JSON.parse(text));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

/** Tells whether a finding about one checkpoint holds for another of its run. */
export function sharesCause(ingredient: IngredientKind, found: CheckpointFile, other: CheckpointFile): boolean {
  if (other.grade !== 'complete') return false;
  const hasNone = (of: CheckpointFile) =>
    of.ingredients?.some(({ kind, state }) => kind === ingredient && state === 'absent') ?? false;
  if (hasNone(other) && !hasNone(found)) return false;
  return !OF_THE_PLACE.includes(ingredient) || isInside(found) === isInside(other);
}

/** Applies later findings to a checkpoint. A proof that it is right outweighs them. */
export function withDoubts(checkpoint: Checkpoint, doubts: readonly Doubt[]): Checkpoint {
  if (doubts.length === 0 || checkpoint.proof?.verdict === 'equal') return checkpoint;
  if (checkpoint.grade === 'partial' || checkpoint.grade === 'weights only') return checkpoint;
  const found: Ingredient[] = doubts.map(({ ingredient, text }) => lost(ingredient, text, null));
  return {
    ...checkpoint,
    grade: 'partial',
    missing: [...checkpoint.missing, ...found.map(sentence)],
    ingredients: checkpoint.ingredients ? [...checkpoint.ingredients, ...found] : checkpoint.ingredients,
  };
}

function isInside({ batch }: CheckpointFile): boolean {
  return batch > 0;
}
