/**
 * Layout of objects.db. Frozen with the first release: later versions may add tables and columns, never change these.
 */

import { storeForeign } from '../../../base/foreign.ts';
import { type Database, openDatabase } from '../../../base/sqlite.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { foreignIn } from '../schema-check.ts';

const OBJECTS_VERSION = 1;

const SCHEMA = `
  CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
  CREATE TABLE chunk (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    hash BLOB NOT NULL UNIQUE,
    size INTEGER NOT NULL,
    codec INTEGER NOT NULL,
    base INTEGER REFERENCES chunk(id),
    stored INTEGER NOT NULL,
    data BLOB NOT NULL
  ) STRICT;
  CREATE INDEX chunk_base ON chunk(base) WHERE base IS NOT NULL;
  CREATE TABLE saved (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL,
    run TEXT NOT NULL,
    created REAL NOT NULL,
    body TEXT NOT NULL,
    metrics BLOB,
    sum BLOB NOT NULL
  ) STRICT;
  CREATE INDEX saved_run ON saved(run);
  CREATE TABLE saved_chunk (
    saved INTEGER NOT NULL REFERENCES saved(seq),
    position INTEGER NOT NULL,
    chunk INTEGER NOT NULL REFERENCES chunk(id),
    PRIMARY KEY (saved, position)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX saved_chunk_chunk ON saved_chunk(chunk);
  CREATE TABLE mark (
    saved INTEGER NOT NULL REFERENCES saved(seq),
    kind TEXT NOT NULL,
    value TEXT NOT NULL,
    PRIMARY KEY (saved, kind, value)
  ) STRICT, WITHOUT ROWID;
`;

/** Busy timeout: others look only briefly; a lock that is held longer is held permanently. */
const BUSY_MS = 1_000;

/** Opens objects.db, makes its tables in a new one, and refuses one from a newer version, or with foreign entries. */
export function openObjectsDatabase(path: string): Database {
  const database = openDatabase(path);
  try {
    configure(database, path);
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Lists foreign entries in a database that `fsck` examines, whatever else is wrong with it. */
export function foreignInObjects(database: Database): string[] {
  return foreignIn(database, [SCHEMA]);
}

function configure(database: Database, path: string): void {
  database.exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA busy_timeout=${BUSY_MS}`);
  const version = Number(database.prepare('PRAGMA user_version').get()!.user_version);
  if (version > OBJECTS_VERSION) {
    throw new TrainstashError(
      'storeFromFuture',
      `${path} was written by a newer Trainstash (format ${version}; this one supports up to ${OBJECTS_VERSION}). Nothing was changed; update Trainstash.`,
      { path, found: version, supported: OBJECTS_VERSION },
    );
  }
  const foreign = foreignIn(database, version === 0 ? [] : [SCHEMA]);
  if (foreign.length > 0) throw storeForeign(path, foreign);
  // Before the first table exists: both cannot be changed afterwards. In an existing file the second would be a write.
  if (version === 0) database.exec('PRAGMA page_size=65536; PRAGMA auto_vacuum=INCREMENTAL');
  // TRUNCATE ends a commit with ftruncate + fsync; DELETE would end with an unlink that nobody syncs. FULL must be set
  // at every open: SQLite reports NORMAL for a file that was made with FULL.
  database.exec('PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL; PRAGMA fullfsync=1');
  database.exec('PRAGMA foreign_keys=ON; PRAGMA cache_size=-65536; PRAGMA mmap_size=0');
  if (version === 0) {
    database.transaction(() => {
      database.exec(SCHEMA);
      database.exec(`PRAGMA user_version=${OBJECTS_VERSION}`);
    });
  }
  // Taken now and kept, so that no other process gets it later.
  database.exec('BEGIN EXCLUSIVE; COMMIT');
}
