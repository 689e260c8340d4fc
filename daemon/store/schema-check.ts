/** Whether a database is laid out as its statements say. A trigger or view that somebody has added runs with each of our own. */
import { type Database, openDatabase } from './driver.ts';

const expected = new Map<string, ReadonlyMap<string, string>>();

/** What is there and is not ours, what is ours and was changed, and what is missing; for people. */
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

/** Made once, by SQLite itself: it keeps each statement nearly as it was given. */
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

/** By kind and name; the table that it is of stands in front of its statement. */
function schemaOf(database: Database): Map<string, string> {
  const rows = database.prepare('SELECT type, name, tbl_name, sql FROM sqlite_schema').all();
  return new Map(rows.map(({ type, name, tbl_name, sql }) => [`${type} "${name}"`, `${tbl_name}: ${sql}`]));
}
