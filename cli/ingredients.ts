/** Lists the ingredients of a checkpoint, one line per kind. */
import type { Checkpoint } from '../protocol/domain.ts';
import { INGREDIENT_KINDS, type Ingredient, sentence } from '../protocol/ingredients.ts';
import { paint, safe, wrapped } from './format.ts';

const MARKS = { kept: () => paint('green', '✔'), absent: () => paint('dim', '–'), lost: () => paint('red', '✘') };
const NAME_WIDTH = 11;

export function ingredientLines(checkpoint: Checkpoint, width: number): string[] {
  const { ingredients } = checkpoint;
  // The checkpoint is from an older version, or from a script that saves by itself.
  if (!ingredients) return checkpoint.missing.flatMap((text) => line('lost', '', `not kept: ${text}`, width));
  return INGREDIENT_KINDS.flatMap((kind) => {
    const of = ingredients.filter((one) => one.kind === kind);
    const kept = of.filter(({ state }) => state === 'kept').map(({ name }) => name);
    const lost = of.filter(({ state }) => state === 'lost');
    return [
      ...(kept.length > 0 ? line('kept', kind, kept.join(', '), width) : []),
      ...lost.flatMap((one) => line('lost', kind, sentence(one), width)),
      ...(kept.length + lost.length === 0 && of.length > 0 ? line('absent', kind, 'none', width) : []),
    ];
  });
}

function line(state: Ingredient['state'], kind: string, text: string, width: number): string[] {
  return wrapped(safe(text), width - NAME_WIDTH - 6).map((part, i) =>
    i === 0 ? `  ${MARKS[state]()} ${kind.padEnd(NAME_WIDTH)} ${part}` : `${' '.repeat(NAME_WIDTH + 5)}${part}`,
  );
}
