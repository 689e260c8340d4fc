import { existsSync } from 'node:fs';
import { storeForeign } from '../../../base/foreign.ts';
import { type Database, openDatabase } from '../../../base/sqlite.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { foreignIn } from '../schema-check.ts';

/** Busy timeout, as for objects.db. */
const BUSY_MS = 1_000;

/** Migrations in order; the index + 1 is the version that each leads to. Never change a released migration. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE run (
    id TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    job TEXT NOT NULL,
    branch TEXT,
    status TEXT NOT NULL,
    draft INTEGER NOT NULL,
    trashed REAL,
    created REAL NOT NULL,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX run_branch ON run(branch, number);
  CREATE TABLE session (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    purpose TEXT NOT NULL,
    ended REAL,
    events_offset INTEGER NOT NULL DEFAULT 0,
    events_seq INTEGER NOT NULL DEFAULT 0,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX session_run ON session(run, ordinal);
  CREATE TABLE checkpoint (
    id TEXT PRIMARY KEY,
    run TEXT NOT NULL,
    step INTEGER NOT NULL,
    created REAL NOT NULL,
    bytes INTEGER NOT NULL,
    trashed REAL,
    body TEXT NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX checkpoint_run ON checkpoint(run, step, created);
  CREATE INDEX checkpoint_trashed ON checkpoint(trashed) WHERE trashed IS NOT NULL;
  CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL,
    name TEXT NOT NULL,
    UNIQUE (session, name)
  ) STRICT;
  CREATE TABLE metric_block (
    series INTEGER NOT NULL,
    first INTEGER NOT NULL,
    points INTEGER NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (series, first)
  ) STRICT;
  `,
  // A command's runner writes its own events, besides those of a script that uses the package.
  `
  ALTER TABLE session ADD COLUMN runner_offset INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE session ADD COLUMN runner_seq INTEGER NOT NULL DEFAULT 0;
  `,
  // Two of 64 points of each large block, and the range of its steps. Older large blocks have none.
  `
  CREATE TABLE metric_outline (
    series INTEGER NOT NULL,
    first INTEGER NOT NULL,
    points INTEGER NOT NULL,
    low_step REAL NOT NULL,
    high_step REAL NOT NULL,
    data BLOB NOT NULL,
    PRIMARY KEY (series, first)
  ) STRICT;
  `,
  // Whether a series' steps only ascend, and the lowest one: long curves are then read without sorting. Null: unknown.
  `
  ALTER TABLE series ADD COLUMN lowest_step REAL;
  ALTER TABLE series ADD COLUMN falls INTEGER;
  `,
];

/**
 * Opens catalog.db, migrates it (after a copy to `catalog-v<n>.db`), and refuses one from a newer version, or with
 * foreign entries. WAL: readers and the writer are the same connection, and small commits are its strength.
 */
export function openCatalog(path: string, migrations: readonly string[] = MIGRATIONS): Database {
  const existed = existsSync(path);
  const database = openDatabase(path);
  try {
    database.exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA busy_timeout=${BUSY_MS}`);
    const version = Number(database.prepare('PRAGMA user_version').get()!.user_version);
    if (version > migrations.length) {
      throw new TrainstashError(
        'storeFromFuture',
        `${path} was written by a newer Trainstash (version ${version}; this one supports up to ${migrations.length}). Nothing was changed; update Trainstash.`,
        { path, found: version, supported: migrations.length },
      );
    }
    // The layout of a list that a test makes up is unknown.
    const foreign = migrations === MIGRATIONS ? foreignIn(database, migrations.slice(0, version)) : [];
    if (foreign.length > 0) throw storeForeign(path, foreign);
    database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA fullfsync=1');
    if (existed && version > 0 && version < migrations.length) {
      database.prepare('VACUUM INTO ?').run(path.replace(/\.db$/, `-v${version}.db`));
    }
    for (let next = version; next < migrations.length; next++) {
      database.transaction(() => {
        database.exec(migrations[next]!);
        database.exec(`PRAGMA user_version=${next + 1}`);
      });
    }
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}
