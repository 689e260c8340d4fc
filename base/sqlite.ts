import { createRequire } from 'node:module';
import { databaseProblem, storeForeign } from './foreign.ts';

/** Interface to SQLite, which both packages below provide. Blobs come back as Uint8Array. */
export interface Database {
  readonly driver: DriverName;
  exec(sql: string): void;
  prepare(sql: string): Statement;
  /**
   * Runs `body` in BEGIN IMMEDIATE … COMMIT; rolls back when it throws. `body` must not be async. With `later`, a power cut may undo
   * the whole transaction until another one is committed: for what can be read again from elsewhere.
   */
  transaction<T>(body: () => T, durable?: 'now' | 'later'): T;
  close(): void;
}

export interface Statement {
  run(...values: SqlValue[]): { changes: number; lastInsertRowid: number | bigint };
  get(...values: SqlValue[]): Row | undefined;
  all(...values: SqlValue[]): Row[];
  iterate(...values: SqlValue[]): IterableIterator<Row>;
}

export type SqlValue = string | number | null | Uint8Array;
// biome-ignore lint/suspicious/noExplicitAny: a row's shape is the query's; every caller names the columns it reads.
export type Row = Record<string, any>;
export type DriverName = 'better-sqlite3' | 'node:sqlite';

/**
 * Opens a database with better-sqlite3, or with Node's own SQLite where that cannot load (its Linux binary needs glibc
 * 2.34). Call only on Node >= 22.15: better-sqlite3 13 ends an older process without a message.
 * `TRAINSTASH_SQLITE=node` chooses the fallback.
 */
export function openDatabase(path: string): Database {
  const problem = path === ':memory:' ? null : databaseProblem(path);
  if (problem !== null) throw storeForeign(path, [problem]);
  const raw = open(path);
  try {
    // The file is untrusted: its views and triggers get no functions that do more than compute, its pages are checked
    // before use, and writing to SQLite's own tables is blocked.
    raw.exec('PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON');
    return new Connection(raw);
  } catch (error) {
    raw.close();
    throw error;
  }
}

interface Raw {
  driver: DriverName;
  exec(sql: string): unknown;
  prepare(sql: string): unknown;
  close(): unknown;
}

/** Number of prepared statements that are kept: preparing one takes longer than running it. */
const MAX_STATEMENTS = 200;

class Connection implements Database {
  readonly driver: DriverName;
  readonly #raw: Raw;
  readonly #statements = new Map<string, Statement>();

  constructor(raw: Raw) {
    this.#raw = raw;
    this.driver = raw.driver;
  }

  exec(sql: string): void {
    this.#raw.exec(sql);
  }

  prepare(sql: string): Statement {
    // Node's own statements hold what was bound to them last, such as a chunk of many megabytes.
    if (this.driver !== 'better-sqlite3') return this.#raw.prepare(sql) as Statement;
    const known = this.#statements.get(sql);
    if (known) this.#statements.delete(sql);
    const statement = known ?? new Kept(() => this.#raw.prepare(sql) as Statement);
    this.#statements.set(sql, statement);
    if (this.#statements.size > MAX_STATEMENTS) this.#statements.delete(this.#statements.keys().next().value!);
    return statement;
  }

  transaction<T>(body: () => T, durable: 'now' | 'later' = 'now'): T {
    if (durable === 'now') return this.#transaction(body);
    this.exec('PRAGMA synchronous=NORMAL');
    try {
      return this.#transaction(body);
    } finally {
      this.exec('PRAGMA synchronous=FULL');
    }
  }

  #transaction<T>(body: () => T): T {
    this.exec('BEGIN IMMEDIATE');
    let result: T;
    try {
      result = body();
      if (result instanceof Promise) throw new TypeError('a transaction cannot wait for a promise');
    } catch (error) {
      // SQLite has already rolled back after some errors (full disk, I/O); a second ROLLBACK then fails.
      try {
        this.exec('ROLLBACK');
      } catch {}
      throw error;
    }
    this.exec('COMMIT');
    return result;
  }

  close(): void {
    this.#raw.close();
  }
}

/** A statement that is prepared once. An iteration keeps one busy, so each has its own. */
class Kept implements Statement {
  readonly #prepare: () => Statement;
  readonly #statement: Statement;

  constructor(prepare: () => Statement) {
    this.#prepare = prepare;
    this.#statement = prepare();
  }

  run(...values: SqlValue[]) {
    return this.#statement.run(...values);
  }

  get(...values: SqlValue[]) {
    return this.#statement.get(...values);
  }

  all(...values: SqlValue[]) {
    return this.#statement.all(...values);
  }

  iterate(...values: SqlValue[]) {
    return this.#prepare().iterate(...values);
  }
}

const require = createRequire(import.meta.url);
let better: (new (path: string) => Omit<Raw, 'driver'>) | null | undefined;

function open(path: string): Raw {
  if (better === undefined) better = loadBetter(path);
  if (better) return withDriver(new better(path), 'better-sqlite3');
  const { DatabaseSync } = loadNodeSqlite();
  const database = new DatabaseSync(path);
  // The other driver does this by itself. Node has it since 24.12.
  database.enableDefensive?.(true);
  return withDriver(database, 'node:sqlite');
}

function loadBetter(path: string): typeof better {
  if (process.env.TRAINSTASH_SQLITE === 'node') return null;
  try {
    const Better = require('better-sqlite3');
    // The first construction loads the native part, and that is what fails with an old glibc.
    new Better(':memory:').close();
    return Better;
  } catch (error) {
    if (process.env.TRAINSTASH_SQLITE === 'better') throw error;
    process.emitWarning(`better-sqlite3 cannot be used for ${path} (${(error as Error).message}); using node:sqlite`);
    return null;
  }
}

/** Loads Node's SQLite without the ExperimentalWarning of Node 22 and 24, which would appear in users' logs. */
function loadNodeSqlite(): typeof import('node:sqlite') {
  const emitWarning = process.emitWarning;
  process.emitWarning = () => {};
  try {
    return require('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}

function withDriver(raw: Omit<Raw, 'driver'>, driver: DriverName): Raw {
  return {
    driver,
    exec: (sql) => raw.exec(sql),
    prepare: (sql) => raw.prepare(sql),
    close: () => raw.close(),
  };
}
