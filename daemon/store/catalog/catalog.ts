/**
 * Catalog of everything that can be queried (catalog.db). It can be rebuilt from objects.db and the session
 * directories.
 */

import type { Database, Row, SqlValue } from '../../../base/sqlite.ts';
import type { Checkpoint, Run, Session } from '../../../protocol/domain.ts';
import type { BranchSummary } from '../../../protocol/messages/branch.ts';
import { LIVE_STATUSES } from '../../../protocol/status.ts';
import { readCheckpoint, readRun, readSession } from './rows.ts';

export interface RunFilter {
  /** Undefined: all branches. */
  branch?: string | null;
  drafts: boolean;
  trashed: boolean;
  /** Lists runs with a smaller number. */
  before: number | null;
  limit: number;
}

/** Source of events: the trainer, or the runner of a command. */
export type EventSource = 'events' | 'runnerEvents';

const POSITION_COLUMNS = {
  events: ['events_offset', 'events_seq'],
  runnerEvents: ['runner_offset', 'runner_seq'],
} as const;

/** Key that is set when a row is invalid: the catalog is rebuilt at the next start. */
const SPOILT = 'spoilt';

/** Table whose rows contain a record each, with the ids that were validated since the catalog was opened. */
interface Table<T> {
  name: string;
  read(body: string): { record: T; isExact: boolean } | null;
  /** Nobody else writes here while the catalog is open, so each row is validated once. */
  sound: Set<string>;
}

export class Catalog {
  readonly database: Database;
  /** Present names of branches by their ids: a writer of a run may not know a new name yet. */
  readonly #branchNames = new Map<string, string>();
  readonly #runs: Table<Run> = { name: 'run', read: readRun, sound: new Set() };
  readonly #sessions: Table<Session> = { name: 'session', read: readSession, sound: new Set() };
  readonly #checkpoints: Table<Checkpoint> = { name: 'checkpoint', read: readCheckpoint, sound: new Set() };

  constructor(database: Database) {
    this.database = database;
  }

  // ---- runs ----

  /** Stores a run. Returns its record, with the present name of its branch. */
  putRun(given: Run): Run {
    const run = { ...given, branch: this.#branchNames.get(given.branchId ?? '') ?? given.branch };
    this.database
      .prepare(
        `INSERT INTO run (id, number, job, branch, status, draft, trashed, created, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET number = excluded.number, job = excluded.job, branch = excluded.branch,
           status = excluded.status, draft = excluded.draft, trashed = excluded.trashed, body = excluded.body`,
      )
      .run(
        run.id,
        run.number,
        run.job,
        run.branch,
        run.status,
        run.draft ? 1 : 0,
        run.trashedAt,
        run.createdAt,
        JSON.stringify(run),
      );
    return run;
  }

  run(id: string): Run | undefined {
    return this.#find(this.#runs, 'WHERE id = ?', id);
  }

  runByNumber(number: number): Run | undefined {
    return this.#find(this.#runs, 'WHERE number = ?', number);
  }

  /** Lists up to 20 runs whose id has this prefix. */
  runsByPrefix(prefix: string): Run[] {
    return this.#list(this.#runs, 'WHERE id >= ? AND id < ? LIMIT 20', prefix, `${prefix}\uffff`);
  }

  /** Lists up to two runs: a single one is meant. */
  runsByName(name: string): Run[] {
    return this.#list(this.#runs, `WHERE ${fieldOf('$.name')} = ? LIMIT 2`, name);
  }

  /** Lists runs that were started from a checkpoint of this run. */
  forksOf(run: string): Run[] {
    return this.#list(this.#runs, `WHERE ${fieldOf('$.parent.run')} = ?`, run);
  }

  /** Lists the runs of a sweep, also those in the trash, in the order of their trials. */
  runsOfSweep(sweep: string): Run[] {
    return this.#list(
      this.#runs,
      `WHERE ${fieldOf('$.sweep.id')} = ? ORDER BY ${fieldOf('$.sweep.trial')}, number`,
      sweep,
    );
  }

  /** Lists drafts that ended before. */
  draftsEndedBefore(time: number): Run[] {
    return this.#list(this.#runs, `WHERE draft = 1 AND ${fieldOf('$.endedAt')} < ?`, time);
  }

  /** Lists runs that went to the trash before. */
  runsTrashedBefore(time: number): Run[] {
    return this.#list(this.#runs, 'WHERE trashed < ?', time);
  }

  runsWithStatus(statuses: readonly string[]): Run[] {
    const marks = statuses.map(() => '?').join(',');
    return this.#list(this.#runs, `WHERE status IN (${marks}) ORDER BY number`, ...statuses);
  }

  runs(filter: RunFilter): { runs: Run[]; total: number } {
    const where: string[] = [filter.trashed ? 'trashed IS NOT NULL' : 'trashed IS NULL'];
    const values: (string | number | null)[] = [];
    if (filter.branch !== undefined) {
      where.push('branch IS ?');
      values.push(filter.branch);
    }
    if (!filter.drafts) where.push('draft = 0');
    const total = Number(
      this.database.prepare(`SELECT count(*) AS n FROM run WHERE ${where.join(' AND ')}`).get(...values)!.n,
    );
    if (filter.before !== null) {
      where.push('number < ?');
      values.push(filter.before);
    }
    const sql = `WHERE ${where.join(' AND ')} ORDER BY number DESC LIMIT ?`;
    const runs = this.#list(this.#runs, sql, ...values, filter.limit);
    return { runs, total };
  }

  /** Names branches by their ids, permanently. Returns the runs whose branch had another name. */
  nameBranches(names: readonly [id: string, name: string][]): Run[] {
    return this.database.transaction(() =>
      names.flatMap(([id, name]) => {
        this.#branchNames.set(id, name);
        const where = `WHERE ${fieldOf('$.branchId')} = ? AND branch IS NOT ?`;
        const renamed = this.#list(this.#runs, where, id, name).map((run) => ({ ...run, branch: name }));
        for (const run of renamed) this.putRun(run);
        return renamed;
      }),
    );
  }

  /** Lists runs with only a branch name: older versions recorded no id. */
  runsWithoutBranchId(): Run[] {
    return this.#list(this.#runs, `WHERE branch IS NOT NULL AND ${fieldOf('$.branchId')} IS NULL`);
  }

  branches(): BranchSummary[] {
    return this.database
      .prepare(
        `SELECT branch AS name, count(*) AS runs, sum(draft) AS drafts, max(created) AS newest,
           sum(status IN (${LIVE_STATUSES.map((status) => `'${status}'`).join(', ')})) AS live
         FROM run WHERE trashed IS NULL GROUP BY branch ORDER BY newest DESC`,
      )
      .all()
      .map((row) => ({
        name: row.name === null ? null : String(row.name),
        runs: Number(row.runs),
        drafts: Number(row.drafts),
        live: Number(row.live),
        newestAt: Number(row.newest),
      }));
  }

  countRuns(): number {
    return Number(this.database.prepare('SELECT count(*) AS n FROM run WHERE trashed IS NULL').get()!.n);
  }

  nextRunNumber(): number {
    const sql = `SELECT coalesce(max(number), 0) AS n FROM run WHERE number < ${Number.MAX_SAFE_INTEGER}`;
    return Number(this.database.prepare(sql).get()!.n) + 1;
  }

  removeRun(id: string): void {
    this.database.transaction(() => {
      for (const session of this.sessions(id)) this.#removeSession(session.id);
      this.database.prepare('DELETE FROM run WHERE id = ?').run(id);
    });
  }

  // ---- sessions ----

  putSession(session: Session): void {
    this.database
      .prepare(
        `INSERT INTO session (id, run, ordinal, purpose, ended, body) VALUES (?, ?, ?, ?, ?, ?)
         ON CONFLICT (id) DO UPDATE SET run = excluded.run, ordinal = excluded.ordinal, ended = excluded.ended, body = excluded.body`,
      )
      .run(session.id, session.run, session.ordinal, session.purpose, session.endedAt, JSON.stringify(session));
  }

  session(id: string): Session | undefined {
    return this.#find(this.#sessions, 'WHERE id = ?', id);
  }

  /** Lists the sessions of a run, in the order of their launch. */
  sessions(run: string): Session[] {
    return this.#list(this.#sessions, 'WHERE run = ? ORDER BY ordinal', run);
  }

  openSessions(): Session[] {
    return this.#list(this.#sessions, 'WHERE ended IS NULL');
  }

  /** Returns the position in the event file of a session's trainer, or of its runner, up to which events are stored. */
  eventsPosition(session: string, source: EventSource): { offset: number; seq: number } {
    const [offset, seq] = POSITION_COLUMNS[source];
    const row = this.database
      .prepare(`SELECT ${offset} AS offset, ${seq} AS seq FROM session WHERE id = ?`)
      .get(session);
    return { offset: Number(row?.offset ?? 0), seq: Number(row?.seq ?? 0) };
  }

  setEventsPosition(session: string, source: EventSource, offset: number, seq: number): void {
    const columns = POSITION_COLUMNS[source];
    this.database
      .prepare(`UPDATE session SET ${columns[0]} = ?, ${columns[1]} = ? WHERE id = ?`)
      .run(offset, seq, session);
  }

  #removeSession(id: string): void {
    for (const table of ['metric_block', 'metric_outline'])
      this.database.prepare(`DELETE FROM ${table} WHERE series IN (SELECT id FROM series WHERE session = ?)`).run(id);
    this.database.prepare('DELETE FROM series WHERE session = ?').run(id);
    this.database.prepare('DELETE FROM session WHERE id = ?').run(id);
  }

  // ---- checkpoints ----

  putCheckpoint(checkpoint: Checkpoint): void {
    this.database
      .prepare(
        'INSERT OR REPLACE INTO checkpoint (id, run, step, created, bytes, trashed, body) VALUES (?, ?, ?, ?, ?, ?, ?)',
      )
      .run(
        checkpoint.id,
        checkpoint.run,
        checkpoint.step,
        checkpoint.createdAt,
        checkpoint.bytes,
        checkpoint.trashedAt,
        JSON.stringify(checkpoint),
      );
  }

  checkpoint(id: string): Checkpoint | undefined {
    return this.#find(this.#checkpoints, 'WHERE id = ?', id);
  }

  checkpointsByPrefix(prefix: string): Checkpoint[] {
    return this.#list(this.#checkpoints, 'WHERE id >= ? AND id < ? LIMIT 20', prefix, `${prefix}\uffff`);
  }

  /** Lists the checkpoints of a run by step, those of the same step by time. */
  checkpoints(run: string, options: { trashed?: boolean } = {}): Checkpoint[] {
    const trash = options.trashed ? '' : 'AND trashed IS NULL';
    return this.#list(this.#checkpoints, `WHERE run = ? ${trash} ORDER BY step, created`, run);
  }

  checkpointPage(run: string, trashed: boolean, after: number, limit: number): Checkpoint[] {
    const where = `WHERE run = ? AND trashed IS ${trashed ? 'NOT NULL' : 'NULL'}`;
    const sql = `${where} ORDER BY step DESC, created DESC LIMIT ? OFFSET ?`;
    return this.#list(this.#checkpoints, sql, run, limit, after);
  }

  /** Lists the newest checkpoints of all runs with at least so many bytes. */
  newestCheckpoints(bytes: number, limit: number): Checkpoint[] {
    const found = this.#list(this.#checkpoints, 'WHERE trashed IS NULL ORDER BY created DESC LIMIT ?', limit);
    return found.filter((one) => one.bytes >= bytes);
  }

  trashedCheckpoints(): Checkpoint[] {
    return this.#list(this.#checkpoints, 'WHERE trashed IS NOT NULL ORDER BY trashed');
  }

  checkpointIds(): Set<string> {
    return new Set(
      this.database
        .prepare('SELECT id FROM checkpoint')
        .all()
        .map((row) => String(row.id)),
    );
  }

  /** Lists the runs with the most bytes of checkpoints, before deduplication. */
  largestRuns(limit: number): string[] {
    return this.database
      .prepare('SELECT run FROM checkpoint WHERE trashed IS NULL GROUP BY run ORDER BY sum(bytes) DESC LIMIT ?')
      .all(limit)
      .map((row) => String(row.run));
  }

  /** Counts checkpoints; `count` excludes those in the trash. */
  countCheckpoints(): { count: number; trashed: number; trashBytes: number } {
    const row = this.database
      .prepare(
        `SELECT count(*) AS n, count(trashed) AS trashed,
           coalesce(sum(CASE WHEN trashed IS NULL THEN 0 ELSE bytes END), 0) AS bytes FROM checkpoint`,
      )
      .get()!;
    return { count: Number(row.n) - Number(row.trashed), trashed: Number(row.trashed), trashBytes: Number(row.bytes) };
  }

  removeCheckpoint(id: string): void {
    this.database.prepare('DELETE FROM checkpoint WHERE id = ?').run(id);
  }

  // ---- meta ----

  meta(key: string): string | undefined {
    return this.database.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.value;
  }

  setMeta(key: string, value: string): void {
    this.database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
  }

  /** Tells whether an invalid row was found. */
  get isSpoilt(): boolean {
    return this.meta(SPOILT) !== undefined;
  }

  #find<T extends { id: string }>(table: Table<T>, where: string, ...values: SqlValue[]): T | undefined {
    const row = this.database.prepare(`SELECT id, body FROM ${table.name} ${where}`).get(...values);
    return row && this.#read(table, row);
  }

  /** Lists records, without invalid rows. */
  #list<T extends { id: string }>(table: Table<T>, where: string, ...values: SqlValue[]): T[] {
    const rows = this.database.prepare(`SELECT id, body FROM ${table.name} ${where}`).all(...values);
    return rows.flatMap((row) => this.#read(table, row) ?? []);
  }

  #read<T extends { id: string }>({ read, sound }: Table<T>, { id, body }: Row): T | undefined {
    if (sound.has(id)) return JSON.parse(body) as T;
    const row = read(body);
    if (row !== null && row.record.id === id) {
      if (row.isExact) sound.add(id);
      return row.record;
    }
    if (!this.isSpoilt) this.setMeta(SPOILT, String(id));
    return undefined;
  }
}

/** Returns SQL for a field of a row's record; null where it has none. */
function fieldOf(path: string): string {
  return `CASE WHEN json_valid(body) THEN json_extract(body, '${path}') END`;
}
