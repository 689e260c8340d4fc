/**
 * Checks that a database has the layout of its statements. A trigger or view that somebody has added would run with
 * each of our statements.
 */
import { type Database, openDatabase } from '../../base/sqlite.ts';

const expected = new Map<string, ReadonlyMap<string, string>>();

/** Lists foreign, changed and missing entries, for people. */
export function foreignIn(database: Database, statements: readonly string[]): string[] {
  const ours = layoutOf(statements);
  const theirs = schemaOf(database);
  const foreign = [...theirs].flatMap(([name, sql]) => {
    const own = ours.get(name);
    if (own === sql) return [];
    return [own === undefined ? `the ${name} is not ours` : `the ${name} was changed`];
  });
  const missing = [...ours.keys()].filter((name) => !theirs.has(name)).map((name) => `the ${name} is missing`);
  return [...foreign, ...missing];
}

/** Makes the expected layout once, by SQLite itself: it stores each statement nearly unchanged. */
function layoutOf(statements: readonly string[]): ReadonlyMap<string, string> {
  const key = statements.join(';');
  const known = expected.get(key);
  if (known) return known;
  const database = openDatabase(':memory:');
  try {
    for (const statement of statements) database.exec(statement);
    const layout = schemaOf(database);
    expected.set(key, layout);
    return layout;
  } finally {
    database.close();
  }
}

/** Reads the schema by kind and name; each statement is prefixed with its table. */
function schemaOf(database: Database): Map<string, string> {
  const rows = database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema').all();
  return new Map(rows.map(({ type, name, tbl_name, sql }) => [`${type} "${name}"`, `${tbl_name}: ${sql}`]));
}
