/**
 * Removes secrets from the databases, where versions before 0.2 wrote them. Nothing else changes the description of a
 * saved checkpoint, and only its owner requests it: chunks, digests, files and marks stay unchanged. Each transaction
 * leaves every row intact, so a killed scrub continues with the rest the next time.
 */
import { existsSync, readdirSync, statfsSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as breathe } from 'node:timers/promises';
import { type Database, openDatabase } from '../../../base/sqlite.ts';
import type { Run, Session } from '../../../protocol/domain.ts';
import { TORCH_STATE_FILE } from '../../../protocol/session.ts';
import type { Catalog } from '../catalog/catalog.ts';
import { Masker } from '../catalog/masked-records.ts';
import { readRun, readSession } from '../catalog/rows.ts';
import type { CheckpointBody } from '../checkpoints/body.ts';
import { soundBodyOf } from '../checkpoints/writer.ts';
import type { Objects, SavedRow } from '../objects/objects.ts';
import { returnSpace } from './sweep.ts';

export interface ScrubOptions {
  /** Secrets that are known from elsewhere. */
  known: readonly string[];
  /** False to report only. */
  apply: boolean;
  /** Live runs to skip: they rewrite their records. */
  without: readonly string[];
}

export interface Scrubbed {
  /** Places with the secrets in them, unmasked. */
  findings: { place: string; secrets: string[] }[];
  /** Checkpoints with such params inside their own files, which are never changed. */
  inside: string[];
  /** Copies of a catalog that cannot be read. */
  unreadable: string[];
  /** Runs whose records were changed, or would be. */
  runs: string[];
}

/** Copies that were made before a migration, or of a damaged catalog. */
const COPY = /^catalog-.*\.db$/;
const ROWS_AT_ONCE = 100;

export async function scrubDatabases(
  path: string,
  objects: Objects,
  catalog: Catalog,
  { known, apply, without }: ScrubOptions,
): Promise<Scrubbed> {
  const report: Scrubbed = { findings: [], inside: [], unreadable: [], runs: [] };
  const skip = new Set(without);
  scrubCatalog(catalog.database, 'the catalog', { known, apply, skip }, report);
  for (const name of readdirSync(path).filter((each) => COPY.test(each))) {
    try {
      scrubCopy(join(path, name), name, { known, apply, skip }, report);
    } catch {
      report.unreadable.push(name);
    }
  }
  await scrubObjects(objects, { known, apply, skip }, report);
  return report;
}

/** Clears replaced values from the free space of the files. */
export async function wipeFree(path: string, objects: Objects, catalog: Catalog): Promise<void> {
  catalog.database.exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE)');
  for (const name of readdirSync(path).filter((each) => COPY.test(each))) {
    try {
      const copy = openDatabase(join(path, name));
      copy.exec('VACUUM; PRAGMA wal_checkpoint(TRUNCATE)');
      copy.close();
    } catch {
      // It is reported as one that cannot be read.
    }
  }
  rewriteSaved(objects);
  await returnSpace(path, objects, () => breathe(), true);
}

/** Rewrites objects.db completely, if there is space for it; returns false if not. */
export function rewriteObjects(path: string, objects: Objects): boolean {
  const { size } = statSync(join(path, 'objects.db'));
  const free = (folder: string) => statfsSync(folder).bavail * statfsSync(folder).bsize;
  // One copy for SQLite's temporary file, one for its journal.
  if (free(path) < size * 1.1 || free(existsSync('/var/tmp') ? '/var/tmp' : tmpdir()) < size * 1.1) return false;
  objects.database.exec('VACUUM');
  return true;
}

interface Work {
  known: readonly string[];
  apply: boolean;
  skip: ReadonlySet<string>;
}

function scrubCatalog(database: Database, where: string, { known, apply, skip }: Work, report: Scrubbed): void {
  const change = () => {
    for (const row of database.prepare('SELECT id, body FROM run').all()) {
      // fsck reports a row that cannot be read.
      if (skip.has(row.id) || readRun(row.body) === null) continue;
      const run = JSON.parse(row.body) as Run;
      const masked = collect(`${where}: ${run.name}`, known, report, (masker) => masker.run(run));
      if (masked) report.runs.push(run.id);
      if (apply && masked) database.prepare('UPDATE run SET body = ? WHERE id = ?').run(JSON.stringify(masked), row.id);
    }
    for (const row of database.prepare('SELECT id, body FROM session').all()) {
      if (readSession(row.body) === null) continue;
      const session = JSON.parse(row.body) as Session;
      if (skip.has(session.run)) continue;
      const masked = collect(`${where}: session ${row.id}`, known, report, (masker) => masker.session(session));
      if (apply && masked)
        database.prepare('UPDATE session SET body = ? WHERE id = ?').run(JSON.stringify(masked), row.id);
    }
  };
  if (apply) zeroing(database, () => database.transaction(change));
  else change();
}

function scrubCopy(path: string, name: string, work: Work, report: Scrubbed): void {
  const copy = openDatabase(path);
  try {
    scrubCatalog(copy, `the copy ${name}`, work, report);
  } finally {
    copy.close();
  }
}

async function scrubObjects(objects: Objects, { known, apply, skip }: Work, report: Scrubbed): Promise<void> {
  let changed: { row: SavedRow; body: string }[] = [];
  const write = async () => {
    if (changed.length > 0) zeroing(objects.database, () => objects.redescribe(changed));
    changed = [];
    await breathe();
  };
  for (const row of objects.allSaved('checkpoint')) {
    if (skip.has(row.run)) continue;
    if (soundBodyOf(row) === null) continue;
    const body = JSON.parse(row.body) as CheckpointBody;
    const masked = collect(`checkpoint ${row.id} of ${body.run.name}`, known, report, (masker) => ({
      run: masker.run(body.run),
      session: masker.session(body.session),
    }));
    if (!masked) continue;
    const hasParams = JSON.stringify(masked.run.params) !== JSON.stringify(body.run.params);
    if (hasParams && body.files.some(({ name }) => name === TORCH_STATE_FILE)) report.inside.push(row.id);
    if (apply) changed.push({ row, body: JSON.stringify({ ...body, ...masked }) });
    if (changed.length >= ROWS_AT_ONCE) await write();
  }
  await write();
}

/** Masks a record; null when there was nothing to mask. */
function collect<T>(place: string, known: readonly string[], report: Scrubbed, work: (masker: Masker) => T): T | null {
  const secrets: string[] = [];
  const masked = work(new Masker(known, (secret) => secrets.push(secret)));
  if (secrets.length === 0) return null;
  report.findings.push({ place, secrets: [...new Set(secrets)] });
  return masked;
}

/**
 * Rewrites all saved rows: deleted rows leave their bytes in pages that are still used, so all rows move to fresh
 * pages, and the old ones are zeroed.
 */
function rewriteSaved({ database }: Objects): void {
  database.exec('CREATE TEMP TABLE kept AS SELECT * FROM saved');
  try {
    zeroing(database, () =>
      database.transaction(() => {
        database.exec('PRAGMA defer_foreign_keys=ON; DELETE FROM saved');
        database.exec('INSERT INTO saved SELECT * FROM kept ORDER BY seq');
      }),
    );
  } finally {
    database.exec('DROP TABLE kept');
  }
}

/** Runs work while SQLite overwrites deleted and replaced data with zeros. */
function zeroing(database: Database, work: () => void): void {
  database.exec('PRAGMA secure_delete=ON');
  try {
    work();
  } finally {
    database.exec('PRAGMA secure_delete=OFF');
  }
}
