/**
 * A difference that is found later lowers the grade of every checkpoint with the same cause: as a row of its own beside the
 * saved one, which never changes.
 */
import * as v from 'valibot';
import type { Checkpoint } from '../../protocol/domain.ts';
import { INGREDIENT_KINDS, type Ingredient, type IngredientKind, lost, sentence } from '../../protocol/ingredients.ts';
import type { CheckpointFile } from '../../protocol/session.ts';

const doubtSchema = v.object({
  /** What a resume does not restore. */
  ingredient: v.picklist(INGREDIENT_KINDS),
  /** What was seen, for people. */
  text: v.string(),
  at: v.number(),
});
export type Doubt = v.InferOutput<typeof doubtSchema>;

/** Where the cause lies in how the loop stood, not in an object: only checkpoints at the same sort of place share it. */
const OF_THE_PLACE: readonly IngredientKind[] = ['data', 'loop', 'gradients'];

export function parseDoubt(text: string): Doubt | null {
  try {
    const parsed = v.safeParse(doubtSchema, JSON.parse(text));
    return parsed.success ? parsed.output : null;
  } catch {
    return null;
  }
}

/** Whether what was found out about one checkpoint holds for another of its run. */
export function sharesCause(ingredient: IngredientKind, found: CheckpointFile, other: CheckpointFile): boolean {
  if (other.grade !== 'complete') return false;
  const hasNone = (of: CheckpointFile) =>
    of.ingredients?.some(({ kind, state }) => kind === ingredient && state === 'absent') ?? false;
  if (hasNone(other) && !hasNone(found)) return false;
  return !OF_THE_PLACE.includes(ingredient) || isInside(found) === isInside(other);
}

/** The checkpoint as it is to be seen with what was found out later. A proof of its own that it is right outweighs that. */
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
