/**
 * Layout of objects.db. Frozen with the first release: later versions may add tables and columns, never change these.
 */

import { statSync } from 'node:fs';
import { storeForeign } from '../../../base/foreign.ts';
import { type Database, openDatabase } from '../../../base/sqlite.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { failureOf } from '../failures.ts';
import { foreignIn } from '../schema-check.ts';
import { CHECKSUMS_UP_TO } from './limits.ts';

const OBJECTS_VERSION = 2;

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

/**
 * Second version: checksums of the chunks' plain bytes. A table of its own, since a column of `chunk` would be behind the data, and
 * filling it in would write all data again. A chunk without a row has no known checksum.
 */
const CHECKSUMS = `
  CREATE TABLE checksum (
    chunk INTEGER PRIMARY KEY REFERENCES chunk(id) ON DELETE CASCADE,
    sum BLOB NOT NULL
  ) STRICT;
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
  return foreignIn(database, statementsOf(versionOf(database)));
}

function configure(database: Database, path: string): void {
  database.exec(`PRAGMA locking_mode=EXCLUSIVE; PRAGMA busy_timeout=${BUSY_MS}`);
  const version = versionOf(database);
  if (version > OBJECTS_VERSION) {
    throw new TrainstashError(
      'storeFromFuture',
      `${path} was written by a newer Trainstash (format ${version}; this one supports up to ${OBJECTS_VERSION}). Nothing was changed; update Trainstash.`,
      { path, found: version, supported: OBJECTS_VERSION },
    );
  }
  const foreign = foreignIn(database, statementsOf(version));
  if (foreign.length > 0) throw storeForeign(path, foreign);
  // Before the first table exists: both cannot be changed afterwards. In an existing file the second would be a write.
  if (version === 0) database.exec('PRAGMA page_size=65536; PRAGMA auto_vacuum=INCREMENTAL');
  // TRUNCATE ends a commit with ftruncate + fsync; DELETE would end with an unlink that nobody syncs. FULL must be set
  // at every open: SQLite reports NORMAL for a file that was made with FULL.
  database.exec('PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL; PRAGMA fullfsync=1');
  database.exec('PRAGMA foreign_keys=ON; PRAGMA cache_size=-65536; PRAGMA mmap_size=0');
  if (version === 0) {
    database.transaction(() => {
      database.exec(SCHEMA + CHECKSUMS);
      database.exec(`PRAGMA user_version=${OBJECTS_VERSION}`);
    });
  }
  // Taken now and kept, so that no other process gets it later.
  database.exec('BEGIN EXCLUSIVE; COMMIT');
}

function versionOf(database: Database): number {
  return Number(database.prepare('PRAGMA user_version').get()!.user_version);
}

function statementsOf(version: number): string[] {
  return [SCHEMA, CHECKSUMS].slice(0, version);
}

/**
 * Adds the table of checksums to a store of the first version, and forgets those of a copy. Called once everything else was found to be
 * usable: a store that is refused is not changed. Returns false if its checksums cannot be used: a page of it is damaged, or the disk
 * takes nothing. Such a store opens nevertheless, each chunk is compared with its SHA-256, and the next start tries again.
 */
export function prepareChecksums(database: Database, path: string): boolean {
  try {
    if (versionOf(database) < OBJECTS_VERSION) addChecksums(database);
    forgetChecksumsOfCopy(database, path);
    return true;
  } catch (error) {
    const kind = failureOf(error);
    if (kind === null || kind === 'busy') throw error;
    return false;
  }
}

function addChecksums(database: Database): void {
  database.transaction(() => {
    database.exec(CHECKSUMS);
    database.exec(`PRAGMA user_version=${OBJECTS_VERSION}`);
  });
}

/**
 * Forgets the checksums of a store that was copied by hand: whatever made the copy, its chunks are compared with SHA-256 once before
 * a checksum is trusted again. A copy is recognised by the number of its file.
 */
function forgetChecksumsOfCopy(database: Database, path: string): void {
  const file = String(statSync(path, { bigint: true }).ino);
  const known = database.prepare("SELECT value FROM meta WHERE key = 'file'").get()?.value;
  if (known === file) return;
  database.transaction(() => {
    database.exec(`DELETE FROM checksum; DELETE FROM meta WHERE key = '${CHECKSUMS_UP_TO}'`);
    database.prepare("INSERT OR REPLACE INTO meta (key, value) VALUES ('file', ?)").run(file);
  });
}
