/**
 * Ingredients: the parts of a training's state, and whether a checkpoint kept each of them. The grade is derived from this list,
 * here for checkpoints of the daemon and its trainers, and by the same rules in the Python package.
 */
import * as v from 'valibot';

/** Kinds of state that a training can have. A checkpoint is complete only if all but `other` have been looked for. */
export const INGREDIENT_KINDS = [
  'weights',
  'optimizer',
  'schedule',
  'scaler',
  'random',
  'data',
  'loop',
  'gradients',
  'callback',
  'other',
] as const;
export type IngredientKind = (typeof INGREDIENT_KINDS)[number];

export const ingredientSchema = v.object({
  kind: v.picklist(INGREDIENT_KINDS),
  /** Name of the part as the user knows it. */
  name: v.string(),
  /** `absent`: the training has no such part. `lost`: a resume goes without it. */
  state: v.picklist(['kept', 'absent', 'lost']),
  /** Reason for the loss: a clause that reads well after the name. */
  why: v.nullable(v.string()),
  /** Line of the script that causes it: `train.py:12`. */
  line: v.nullable(v.string()),
  /** Heading of `docs/diagnostics.md` that says what to do. */
  code: v.optional(v.string()),
});
export type Ingredient = v.InferOutput<typeof ingredientSchema>;

export function kept(kind: IngredientKind, name: string): Ingredient {
  return { kind, name, state: 'kept', why: null, line: null };
}

export function absent(kind: IngredientKind, name: string): Ingredient {
  return { kind, name, state: 'absent', why: null, line: null };
}

export function lost(kind: IngredientKind, name: string, why: string | null): Ingredient {
  return { kind, name, state: 'lost', why, line: null };
}

/** Returns the fields of `checkpoint.json` that describe ingredients: the list, the resulting grade, and what is missing. */
export function described(ingredients: Ingredient[]): {
  ingredients: Ingredient[];
  grade: 'complete' | 'partial' | 'weights only';
  missing: string[];
} {
  return { ingredients, grade: gradeOf(ingredients), missing: missingOf(ingredients) };
}

export function missingOf(ingredients: readonly Ingredient[]): string[] {
  return ingredients.filter(({ state }) => state === 'lost').map(sentence);
}

/** Describes one part for people: `scaler (it was off)`, `total starts again on a resume (train.py:12)`. */
export function sentence({ kind, name, why, line, code }: Ingredient): string {
  if (kind === 'loop' || code) return [name, why, line && `(${line})`].filter(Boolean).join(' ');
  const reason = [why, line].filter(Boolean).join(', ');
  return reason ? `${name} (${reason})` : name;
}

function gradeOf(ingredients: readonly Ingredient[]): 'complete' | 'partial' | 'weights only' {
  const looked = new Set(ingredients.map(({ kind }) => kind));
  const unseen = INGREDIENT_KINDS.filter((kind) => kind !== 'other' && !looked.has(kind));
  if (unseen.length === 0 && ingredients.every(({ state }) => state !== 'lost')) return 'complete';
  const keeps = new Set(ingredients.filter(({ state }) => state === 'kept').map(({ kind }) => kind));
  return keeps.size === 1 && keeps.has('weights') ? 'weights only' : 'partial';
}
