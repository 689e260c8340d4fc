/** Checks a store for forbidden entries, before anything in it is opened. */
import { lstatSync, readdirSync } from 'node:fs';
import { TrainstashError } from '../protocol/errors.ts';

const SHOWN = 5;

/** Lists links at the top of a store, where each file and folder is opened by its name: none of ours is a link. */
export function linksIn(store: string): string[] {
  const entries = readdirSync(store, { withFileTypes: true });
  return entries.flatMap((entry) => (entry.isSymbolicLink() ? [`${entry.name} is a link`] : []));
}

/**
 * Finds a problem with a database's path. SQLite follows links, and puts its lock files and journals next to the file.
 */
export function databaseProblem(path: string): string | null {
  for (const name of ['', '-journal', '-wal', '-shm'].map((suffix) => path + suffix)) {
    const stat = lstatSync(name, { throwIfNoEntry: false });
    if (stat && !stat.isFile()) return `${name} is ${stat.isSymbolicLink() ? 'a link' : 'not a file'}`;
  }
  return null;
}

export function storeForeign(path: string, found: string[]): TrainstashError<'storeForeign'> {
  const more = found.length > SHOWN ? `; and ${found.length - SHOWN} more` : '';
  return new TrainstashError(
    'storeForeign',
    `${path} contains entries that Trainstash did not create: ${found.slice(0, SHOWN).join('; ')}${more}. It was not used, and nothing was changed. \`trainstash fsck\` checks the rest. Restore an intact copy, or remove what was added.`,
    { path, found },
  );
}
