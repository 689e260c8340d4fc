/**
 * What a checkpoint is made of, and whether each part of it was kept. The grade is read off the list: here for what the
 * daemon and its trainers write, and by the same rules in the Python package.
 */
import * as v from 'valibot';

/** Every kind of state that a training can have. All but `other` have to be looked for before a checkpoint is complete. */
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
  /** The part as the user calls it. */
  name: v.string(),
  /** `absent`: somebody looked, and the training has no such part. `lost`: a resume goes without it. */
  state: v.picklist(['kept', 'absent', 'lost']),
  /** Why it is lost: a clause that reads well after the name. */
  why: v.nullable(v.string()),
  /** The line of the script that is to blame: `train.py:12`. */
  line: v.nullable(v.string()),
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

/** What `checkpoint.json` says of them: the list, the grade that it has earned, and what is missing. */
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

/** One part for people: `scaler (it was off)`, `total starts again on a resume (train.py:12)`. */
export function sentence({ kind, name, why, line }: Ingredient): string {
  if (kind === 'loop') return [name, why, line && `(${line})`].filter(Boolean).join(' ');
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
