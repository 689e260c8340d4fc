/** Damages a database behind its owner's back. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { openDatabase } from '../../base/sqlite.ts';
import { afterwards } from './cleanup.ts';

/** Another program with a lock on a database of the store, until it is ended. */
export async function holding(path: string, statement: string): Promise<ChildProcess> {
  const program = `
    const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(${JSON.stringify(path)});
    database.exec(${JSON.stringify(statement)});
    process.stdout.write('held');
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  afterwards(() => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout!.once('data', resolve));
  return child;
}

/** Overwrites a page of a table or index with zeros. */
export function damage(path: string, name: string, which: string): void {
  const database = openDatabase(path);
  const { pageno } = database.prepare(`SELECT pageno FROM dbstat WHERE name = ? ORDER BY ${which} LIMIT 1`).get(name)!;
  const { page_size: size } = database.prepare('PRAGMA page_size').get()!;
  database.close();
  const file = openSync(path, 'r+');
  writeSync(file, Buffer.alloc(Number(size)), 0, Number(size), (Number(pageno) - 1) * Number(size));
  closeSync(file);
}

/** Swaps the first two rows on the first page of a table or index that has two. */
export function disorder(path: string, name: string): void {
  const database = openDatabase(path);
  const { pageno } = database
    .prepare("SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' AND ncell > 1 ORDER BY pageno LIMIT 1")
    .get(name)!;
  const { page_size: size } = database.prepare('PRAGMA page_size').get()!;
  database.close();
  const file = openSync(path, 'r+');
  // Behind the eight bytes of a leaf's head are the places of its cells, two bytes each.
  const at = (Number(pageno) - 1) * Number(size) + 8;
  const places = Buffer.alloc(4);
  readSync(file, places, 0, 4, at);
  writeSync(file, Buffer.from([places[2]!, places[3]!, places[0]!, places[1]!]), 0, 4, at);
  closeSync(file);
}
