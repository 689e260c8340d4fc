/** Reads the list of a checkpoint's ingredients where its facts are next to its files, as in a session's inbox. */
import { readFileSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import * as v from 'valibot';
import type { Ingredient } from '../protocol/ingredients.ts';
import { CHECKPOINT_FILE, checkpointFileSchema } from '../protocol/session.ts';

const MAX_BYTES = 1 << 20;

/** Reads the list; null where there is none, or the facts belong to other files. */
export function ingredientsBeside(path: string): Ingredient[] | null {
  try {
    const facts = join(dirname(path), CHECKPOINT_FILE);
    const stat = statSync(facts);
    if (!stat.isFile() || stat.size > MAX_BYTES) return null;
    const parsed = v.safeParse(checkpointFileSchema, JSON.parse(readFileSync(facts, 'utf8')));
    const isOne = parsed.success && parsed.output.files.some(({ name }) => name === basename(path));
    return isOne ? (parsed.output.ingredients ?? null) : null;
  } catch {
    return null;
  }
}
