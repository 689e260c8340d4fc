/** The connection to SQLite: statements that are kept, and transactions that may wait for the disk. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openDatabase } from '../../../base/sqlite.ts';
import { temporaryFolder } from '../../support/folder.ts';

const FULL = 2;

function opened() {
  const database = openDatabase(join(temporaryFolder(), 'some.db'));
  database.exec('PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (n INTEGER)');
  return database;
}

test('every transaction but one that may wait is durable when it ends', () => {
  const database = opened();
  const synchronous = () => database.prepare('PRAGMA synchronous').get()!.synchronous;
  const within = database.transaction(() => {
    database.prepare('INSERT INTO t VALUES (?)').run(1);
    return synchronous();
  }, 'later');
  expect(within).toBeLessThan(FULL);
  expect(synchronous()).toBe(FULL);
  const failing = () => {
    database.prepare('INSERT INTO t VALUES (?)').run(2);
    throw new Error('no');
  };
  expect(() => database.transaction(failing, 'later')).toThrow('no');
  expect(synchronous()).toBe(FULL);
  expect(database.prepare('SELECT n FROM t').all()).toEqual([{ n: 1 }]);
  database.close();
});

test('a statement can be run within its own iteration, with other values, and after the schema has changed', () => {
  const database = opened();
  const insert = (n: number) => database.prepare('INSERT INTO t VALUES (?)').run(n);
  for (const n of [1, 2, 3]) insert(n);
  const above = () => database.prepare('SELECT n FROM t WHERE n > ? ORDER BY n');
  const pairs: string[] = [];
  for (const { n } of above().iterate(0)) for (const inner of above().iterate(n)) pairs.push(`${n}${inner.n}`);
  expect(pairs).toEqual(['12', '13', '23']);
  database.exec('ALTER TABLE t ADD COLUMN more INTEGER DEFAULT 7');
  expect(database.prepare('SELECT * FROM t WHERE n = ?').get(2)).toEqual({ n: 2, more: 7 });
  for (let i = 0; i < 300; i++) expect(database.prepare(`SELECT ${i} AS i`).get()).toEqual({ i });
  expect(database.prepare('SELECT n FROM t WHERE n > ? ORDER BY n').all(1)).toEqual([{ n: 2 }, { n: 3 }]);
  database.close();
});
