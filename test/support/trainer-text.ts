import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Reads a script of `test/trainers`, for a test that puts it into a project of its own. */
export function trainerText(name: string): string {
  return readFileSync(join(import.meta.dirname, '../trainers', name), 'utf8');
}
