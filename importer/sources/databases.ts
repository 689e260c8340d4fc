/** SQLite stores: MLflow's, and Trackio's. They are read from a copy, since opening a database can change its folder. */
import { constants, copyFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Database, openDatabase, type Row } from '../../base/sqlite.ts';
import { randomId } from '../../protocol/ids.ts';
import type { Points } from '../points.ts';
import type { Candidate, Found, Source, Surroundings } from '../source.ts';
import { isRecord, plain } from '../text.ts';
import type { FoundFile } from '../walk.ts';
import { outcomeOf, paramOf } from './mlflow.ts';

const IS_DATABASE = /\.(db|sqlite3?)$/;
const MOST_RUNS = 100_000;

export const mlflowDatabase: Source = {
  tool: 'MLflow',
  find: (folder, surroundings) => inFiles(folder.files, surroundings, ['runs', 'metrics', 'experiments'], mlflowRuns),
};

export const trackio: Source = {
  tool: 'Trackio',
  find: (folder, surroundings) => inFiles(folder.files, surroundings, ['metrics', 'configs'], trackioRuns),
};

type Reader = (database: Database, file: FoundFile, open: () => Database) => Candidate[];

function inFiles(
  files: readonly FoundFile[],
  surroundings: Surroundings,
  tables: readonly string[],
  read: Reader,
): Found | null {
  const runs = files
    .filter(({ name }) => IS_DATABASE.test(name))
    .flatMap((file) => runsIn(file, surroundings, tables, read));
  return runs.length > 0 ? { runs, taken: [], all: false } : null;
}

function runsIn(
  file: FoundFile,
  { temporary, tell }: Surroundings,
  tables: readonly string[],
  read: Reader,
): Candidate[] {
  let database: Database | null = null;
  let copy: string | null = null;
  const open = () => {
    copy ??= copyOf(file, temporary);
    database ??= openDatabase(copy);
    return database;
  };
  try {
    const names = new Set(
      open()
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table'")
        .all()
        .map(({ name }) => String(name)),
    );
    if (!tables.every((name) => names.has(name))) return [];
    return read(open(), file, open);
  } catch (error) {
    tell(file.path, `it cannot be read as a database (${(error as Error).message})`);
    return [];
  }
}

function copyOf({ path, name }: FoundFile, temporary: string): string {
  const copy = join(temporary, `${randomId()}-${name}`);
  copyFileSync(path, copy, constants.COPYFILE_FICLONE);
  if (existsSync(`${path}-wal`)) copyFileSync(`${path}-wal`, `${copy}-wal`, constants.COPYFILE_FICLONE);
  return copy;
}

function mlflowRuns(database: Database, file: FoundFile, open: () => Database): Candidate[] {
  const rows = database
    .prepare(
      `SELECT r.run_uuid AS id, r.name, r.status, r.start_time AS begun, r.end_time AS ended, e.name AS experiment,
         (SELECT count(*) || '/' || coalesce(max(timestamp), 0) FROM metrics m WHERE m.run_uuid = r.run_uuid) AS points
       FROM runs r LEFT JOIN experiments e ON e.experiment_id = r.experiment_id
       WHERE coalesce(r.lifecycle_stage, 'active') = 'active' ORDER BY r.start_time LIMIT ?`,
    )
    .all(MOST_RUNS);
  return rows.map((row) => ({
    key: `MLflow:${row.id}`,
    job: String(row.experiment ?? 'mlflow'),
    name: String(row.name ?? row.id),
    path: file.path,
    stamp: `${row.status}/${row.ended}/${row.points}`,
    checkpoints: [],
    read(points: Points) {
      const from = open();
      for (const one of from
        .prepare('SELECT key, value, timestamp, step, is_nan FROM metrics WHERE run_uuid = ? ORDER BY step, timestamp')
        .iterate(String(row.id)))
        points.add(
          String(one.key),
          Number(one.step),
          one.is_nan ? Number.NaN : wide(Number(one.value)),
          Number(one.timestamp),
        );
      const params = from.prepare('SELECT key, value FROM params WHERE run_uuid = ?').all(String(row.id));
      return {
        params: plain(Object.fromEntries(params.map(({ key, value }) => [String(key), paramOf(String(value))]))),
        startedAt: timeOf(row.begun),
        endedAt: timeOf(row.ended),
        outcome: outcomeOf(row.status),
      };
    },
  }));
}

/** Its databases hold the largest double where a value was infinite. */
function wide(value: number): number {
  return Math.abs(value) >= 1.7976931348623157e308 ? Math.sign(value) * Number.POSITIVE_INFINITY : value;
}

function trackioRuns(database: Database, file: FoundFile, open: () => Database): Candidate[] {
  const job = file.name.replace(IS_DATABASE, '');
  const names = database
    .prepare('SELECT run_name AS name, count(*) AS n, max(timestamp) AS newest FROM metrics GROUP BY run_name LIMIT ?')
    .all(MOST_RUNS);
  return names.map((row) => ({
    key: `Trackio:${file.path}:${row.name}`,
    job,
    name: String(row.name),
    path: file.path,
    stamp: `${row.n}/${row.newest}`,
    checkpoints: [],
    read(points: Points) {
      const from = open();
      const rows = from
        .prepare('SELECT step, timestamp, metrics FROM metrics WHERE run_name = ? ORDER BY step')
        .iterate(String(row.name));
      for (const one of rows) readTrackioRow(one, points);
      const config = from.prepare('SELECT config FROM configs WHERE run_name = ?').get(String(row.name));
      return { params: plain(withoutOwn(parsed(config?.config))), outcome: 'completed' as const };
    },
  }));
}

function readTrackioRow({ step, timestamp, metrics }: Row, points: Points): void {
  const values = parsed(metrics);
  const time = Date.parse(String(timestamp));
  for (const [name, value] of Object.entries(values)) {
    const number = typeof value === 'number' ? value : SPECIAL.get(String(value));
    if (number === undefined) points.leftOut++;
    else points.add(name, Number(step), number, Number.isNaN(time) ? null : time);
  }
}

/** Words for numbers that JSON does not have. */
const SPECIAL = new Map([
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
]);

function parsed(text: unknown): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(String(text));
    return isRecord(value) ? value : {};
  } catch {
    return {};
  }
}

/** Drops what Trackio itself adds. */
function withoutOwn(config: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(config).filter(([name]) => !name.startsWith('_')));
}

function timeOf(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value : null;
}
