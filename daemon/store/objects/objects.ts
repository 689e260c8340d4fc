/** Stores content and the records that protect it (objects.db). Only the store worker opens it. */
import { createHash } from 'node:crypto';
import { pagesOf } from '../pages.ts';
import { Chunks, MAX_ROW } from './chunks.ts';

/**
 * Kinds of marks. `tag`: the value is its name. `trash`: the value is the time. `proof`, `doubt`: the value is JSON.
 * `packed`: its chunks have been packed. `kept`: it was taken out of the trash at that time.
 */
export type MarkKind = 'tag' | 'trash' | 'proof' | 'doubt' | 'packed' | 'kept' | 'pin' | 'trouble';

/** Kinds of saved rows. `file`: one file of a worktree, kept because it follows its branch. */
export type SavedKind = 'checkpoint' | 'file';

export interface SavedFile {
  name: string;
  bytes: number;
  /** Number of the saved row's chunks, in order, that make up this file. */
  chunks: number;
}

/** Committed checkpoint or stash: never changed after its row exists. */
export interface SavedRow {
  seq: number;
  id: string;
  kind: SavedKind;
  /** Run of a checkpoint; for a file, a name through which its next version is compared with it. */
  run: string;
  created: number;
  body: string;
  metrics: Uint8Array | null;
}

/** Limit of a description: it has the names of some thousand files at most. */
const MAX_BODY_BYTES = 64 << 20;
const BODY = `CASE WHEN octet_length(body) <= ${MAX_BODY_BYTES} THEN body ELSE '' END AS body`;
const SAVED = `seq, id, kind, run, created, ${BODY}, metrics`;

export class Objects extends Chunks {
  // ---- what is saved ----

  commit(row: Omit<SavedRow, 'seq'>, chunks: readonly number[]): number {
    return this.#change(() => {
      const seq = this.give('saved', 'seq');
      this.database
        .prepare('INSERT INTO saved (seq, id, kind, run, created, body, metrics, sum) VALUES (?, ?, ?, ?, ?, ?, ?, ?)')
        .run(seq, row.id, row.kind, row.run, row.created, row.body, row.metrics, rowSum(row));
      const insert = this.database.prepare('INSERT INTO saved_chunk (saved, position, chunk) VALUES (?, ?, ?)');
      chunks.forEach((chunk, position) => void insert.run(seq, position, chunk));
      return seq;
    });
  }

  saved(id: string): SavedRow | undefined {
    return this.database.prepare(`SELECT ${SAVED} FROM saved WHERE id = ? AND seq BETWEEN 1 AND ${MAX_ROW}`).get(id) as
      | SavedRow
      | undefined;
  }

  /** Yields all saved rows, or those of one kind. */
  *allSaved(kind?: SavedKind): Generator<SavedRow & { sum: Uint8Array }> {
    const one = kind === undefined ? '' : `AND kind = '${kind}'`;
    const page = this.database.prepare(
      `SELECT ${SAVED}, sum FROM saved WHERE seq > ? AND seq <= ${MAX_ROW} ${one} ORDER BY seq LIMIT 100`,
    );
    for (const rows of pagesOf<SavedRow & { sum: Uint8Array }>(page, 'seq')) yield* rows;
  }

  /** Lists the chunks in order. Leaves out impossible numbers: then there are fewer than the row says. */
  chunksOf(seq: number): number[] {
    return this.database
      .prepare(`SELECT chunk FROM saved_chunk WHERE saved = ? AND chunk BETWEEN 1 AND ${MAX_ROW} ORDER BY position`)
      .all(seq)
      .map((row) => Number(row.chunk));
  }

  chunkHashes(seq: number): Uint8Array[] {
    return this.database
      .prepare(
        'SELECT chunk.hash FROM saved_chunk JOIN chunk ON chunk.id = saved_chunk.chunk WHERE saved = ? ORDER BY position',
      )
      .all(seq)
      .map((row) => row.hash);
  }

  describeChunks(seq: number): { id: number; size: number; hash: Uint8Array }[] {
    return this.database
      .prepare(
        `SELECT chunk.id, chunk.size, chunk.hash FROM saved_chunk JOIN chunk ON chunk.id = saved_chunk.chunk
         WHERE saved = ? AND chunk BETWEEN 1 AND ${MAX_ROW} AND size BETWEEN 0 AND ${MAX_ROW} ORDER BY position`,
      )
      .all(seq) as { id: number; size: number; hash: Uint8Array }[];
  }

  /** Returns the concatenated hashes of a run's newest saved row, which its next checkpoint may contain again. */
  newestHashes(run: string): Uint8Array {
    const sql = `SELECT max(seq) AS seq FROM saved WHERE run = ? AND seq <= ${MAX_ROW}`;
    const newest = this.database.prepare(sql).get(run)!.seq;
    return newest === null ? new Uint8Array(0) : Buffer.concat(this.chunkHashes(Number(newest)));
  }

  /**
   * Replaces the descriptions of saved rows, only for `scrub.ts`: nothing else changes a committed row. Its files,
   * their digests and its chunks must be the same.
   */
  redescribe(rows: readonly { row: SavedRow; body: string }[]): void {
    this.#change(() => {
      const update = this.database.prepare('UPDATE saved SET body = ?, sum = ? WHERE seq = ? AND body = ?');
      for (const { row, body } of rows) update.run(body, rowSum({ ...row, body }), row.seq, row.body);
    });
  }

  /** Forgets a saved row. The next sweep deletes its chunks, unless something else refers to them. */
  forget(id: string): void {
    this.#change(() => {
      const row = this.saved(id);
      if (!row) return;
      for (const table of ['mark', 'saved_chunk'])
        this.database.prepare(`DELETE FROM ${table} WHERE saved = ?`).run(row.seq);
      this.database.prepare('DELETE FROM saved WHERE seq = ?').run(row.seq);
    });
  }

  // ---- marks ----

  marks(seq: number): { kind: MarkKind; value: string }[] {
    return this.database.prepare('SELECT kind, value FROM mark WHERE saved = ?').all(seq) as never;
  }

  /** Finds a saved row by one of its marks: the newest one. */
  savedWithMark(kind: MarkKind, value: string): string | undefined {
    const sql =
      'SELECT s.id FROM mark m JOIN saved s ON s.seq = m.saved WHERE m.kind = ? AND m.value = ? ORDER BY s.seq DESC';
    return this.database.prepare(sql).get(kind, value)?.id as string | undefined;
  }

  marksWithPrefix(kind: MarkKind, prefix: string): string[] {
    const sql = 'SELECT DISTINCT value FROM mark WHERE kind = ? AND substr(value, 1, ?) = ?';
    return this.database
      .prepare(sql)
      .all(kind, prefix.length, prefix)
      .map(({ value }) => String(value));
  }

  /** Counts the stored bytes of chunks that nothing refers to, or nothing but these saved rows. */
  bytesWithout(ids: readonly string[]): number {
    const going = 'SELECT seq FROM saved WHERE id IN (SELECT value FROM json_each(?))';
    const sql = `SELECT coalesce(sum(stored), 0) AS n FROM chunk c
      WHERE NOT EXISTS (SELECT 1 FROM saved_chunk s WHERE s.chunk = c.id AND s.saved NOT IN (${going}))`;
    return Number(this.database.prepare(sql).get(JSON.stringify(ids))!.n);
  }

  /** Adds a mark. A row has only one mark of each kind, the newest, except for `tag` and `doubt`. */
  setMark(id: string, kind: MarkKind, value: string): void {
    this.#change(() => {
      const row = this.saved(id);
      if (!row) return;
      if (kind !== 'tag' && kind !== 'doubt') this.#clear(row.seq, kind);
      this.database
        .prepare('INSERT OR REPLACE INTO mark (saved, kind, value) VALUES (?, ?, ?)')
        .run(row.seq, kind, value);
    });
  }

  clearMark(id: string, kind: MarkKind, value?: string): void {
    this.#change(() => {
      const row = this.saved(id);
      if (!row) return;
      if (value === undefined) this.#clear(row.seq, kind);
      else
        this.database.prepare('DELETE FROM mark WHERE saved = ? AND kind = ? AND value = ?').run(row.seq, kind, value);
    });
  }

  /** Replaces one mark with another, both or neither. */
  exchangeMark(id: string, kind: MarkKind, by: MarkKind, value: string): void {
    this.#change(() => {
      const row = this.saved(id);
      if (!row) return;
      for (const one of [kind, by]) this.#clear(row.seq, one);
      this.database.prepare('INSERT INTO mark (saved, kind, value) VALUES (?, ?, ?)').run(row.seq, by, value);
    });
  }

  #clear(seq: number, kind: MarkKind): void {
    this.database.prepare('DELETE FROM mark WHERE saved = ? AND kind = ?').run(seq, kind);
  }

  // ---- meta ----

  /** Counts the changes of saved rows and marks; the catalog compares it with the count that it has followed. */
  changes(): number {
    const changes = Number(this.meta('changes') ?? 0);
    return Number.isSafeInteger(changes) && changes >= 0 ? changes : 0;
  }

  meta(key: string): string | undefined {
    return this.database.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.value;
  }

  setMeta(key: string, value: string): void {
    this.database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
  }

  clearMeta(key: string): void {
    this.database.prepare('DELETE FROM meta WHERE key = ?').run(key);
  }

  #change<T>(body: () => T): T {
    return this.database.transaction(() => {
      const result = body();
      this.setMeta('changes', String(this.changes() + 1));
      return result;
    });
  }
}

/** Computes a checksum of a saved row's own text, against flipped bits; its chunks have their own hashes. */
export function rowSum(row: Omit<SavedRow, 'seq'>): Buffer {
  const hash = createHash('sha256');
  for (const part of [row.id, row.kind, row.run, String(row.created), row.body]) hash.update(part).update('\0');
  return hash.update(row.metrics ?? '').digest();
}
