/**
 * objects.db: content and what protects it. Only the store worker opens it.
 *
 * The schema is frozen with the first release: later versions may add tables and columns, never change these.
 */
import { createHash } from 'node:crypto';
import { TrainstashError } from '../../protocol/errors.ts';
import { decodeChunk } from './codec.ts';
import { type Database, openDatabase, type Statement } from './driver.ts';

const OBJECTS_VERSION = 1;
/** Far above what packing makes: a chunk that is its own base must not be read for ever. */
const MAX_STACK = 64;

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

/** `tag`: value is its name. `trash`: value is the time. `proof`: value is JSON. `packed`: its chunks have been packed. */
export type MarkKind = 'tag' | 'trash' | 'proof' | 'doubt' | 'packed';

/** `file`: one file of a worktree, kept because it follows its branch. */
export type SavedKind = 'checkpoint' | 'file';

export interface SavedFile {
  name: string;
  bytes: number;
  /** How many of the saved row's chunks, in order, make up this file. */
  chunks: number;
}

/** A committed checkpoint or stash: never changed after its row exists. */
export interface SavedRow {
  seq: number;
  id: string;
  kind: SavedKind;
  /** Of a file: what names it, so that its next version is compared with it. */
  run: string;
  created: number;
  body: string;
  metrics: Uint8Array | null;
}

/** As it lies in the store: of a delta the bytes come out only with those of its base. */
export interface EncodedChunk {
  hash: Uint8Array;
  size: number;
  codec: number;
  data: Uint8Array;
}

/** `base`: what it is a delta to. `stored`: bytes of its data. */
export interface ChunkLayout {
  size: number;
  codec: number;
  base: number | null;
  stored: number;
}

export interface ChunkReference {
  id: number;
  /** Bytes added to the store: 0 when the chunk was there. */
  added: number;
}

export class Objects {
  readonly database: Database;
  /** Chunks that a save under way refers to: a sweep keeps them. One process owns the store, so memory is enough. */
  readonly #held = new Map<number, number>();
  readonly #findChunk: Statement;
  readonly #insertChunk: Statement;
  readonly #readChunk: Statement;

  constructor(path: string) {
    this.database = openDatabase(path);
    try {
      this.#configure(path);
      this.#findChunk = this.database.prepare('SELECT id FROM chunk WHERE hash = ?');
      this.#insertChunk = this.database.prepare(
        'INSERT INTO chunk (hash, size, codec, base, stored, data) VALUES (?, ?, ?, NULL, ?, ?)',
      );
      this.#readChunk = this.database.prepare('SELECT hash, size, codec, base, data FROM chunk WHERE id = ?');
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  #configure(path: string): void {
    // Before the first table exists: page size and auto_vacuum cannot be changed afterwards.
    this.database.exec('PRAGMA page_size=65536; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA locking_mode=EXCLUSIVE');
    // TRUNCATE ends a commit with ftruncate + fsync; DELETE would end with an unlink nobody syncs. FULL must be set
    // at every open: SQLite reports NORMAL for a file that was made with FULL.
    this.database.exec('PRAGMA journal_mode=TRUNCATE; PRAGMA synchronous=FULL; PRAGMA fullfsync=1');
    this.database.exec('PRAGMA foreign_keys=ON; PRAGMA cache_size=-65536; PRAGMA mmap_size=0');
    const version = Number(this.database.prepare('PRAGMA user_version').get()!.user_version);
    if (version > OBJECTS_VERSION) {
      throw new TrainstashError(
        'storeFromFuture',
        `${path} was written by a newer Trainstash (format ${version}, this one knows ${OBJECTS_VERSION}). Nothing was changed; update Trainstash.`,
        { path, found: version, supported: OBJECTS_VERSION },
      );
    }
    if (version === 0) {
      this.database.transaction(() => {
        this.database.exec(SCHEMA);
        this.database.exec(`PRAGMA user_version=${OBJECTS_VERSION}`);
      });
    }
  }

  close(): void {
    this.database.close();
  }

  // ---- content ----

  /** Looks each chunk up or inserts it, in one transaction, and holds it for `save` until `endSave`. */
  putChunks(save: Save, chunks: readonly EncodedChunk[]): ChunkReference[] {
    const references = this.database.transaction(() =>
      chunks.map(({ hash, size, codec, data }) => {
        const found = this.#findChunk.get(hash);
        if (found) return { id: Number(found.id), added: 0 };
        const { lastInsertRowid } = this.#insertChunk.run(hash, size, codec, data.length, data);
        return { id: Number(lastInsertRowid), added: data.length };
      }),
    );
    for (const { id } of references) this.#hold(save, id);
    return references;
  }

  /** The chunk with this hash, held for `save` from now on; null when there is none. */
  findChunk(save: Save, hash: Uint8Array): number | null {
    const found = this.#findChunk.get(hash);
    if (!found) return null;
    this.#hold(save, Number(found.id));
    return Number(found.id);
  }

  /** For a reader: they stay until `endSave`, whoever forgets what they belong to. */
  holdChunks(save: Save, ids: readonly number[]): void {
    for (const id of ids) this.#hold(save, id);
  }

  #hold(save: Save, id: number): void {
    if (save.held.has(id)) return;
    save.held.add(id);
    this.#held.set(id, (this.#held.get(id) ?? 0) + 1);
  }

  beginSave(): Save {
    return { held: new Set() };
  }

  endSave(save: Save): void {
    for (const id of save.held) {
      const holders = this.#held.get(id)! - 1;
      if (holders === 0) this.#held.delete(id);
      else this.#held.set(id, holders);
    }
    save.held.clear();
  }

  isHeld(chunk: number): boolean {
    return this.#held.has(chunk);
  }

  /** The chunk's bytes, checked against its hash. Throws `corrupted`. */
  chunk(id: number): Uint8Array {
    const stack = this.stack(id);
    const { hash, size } = stack[0]!;
    let bytes: Uint8Array;
    try {
      bytes = decodeStack(stack);
    } catch {
      throw damagedChunk(id, 'it cannot be decompressed');
    }
    if (bytes.length !== size) throw damagedChunk(id, `it has ${bytes.length} bytes instead of ${size}`);
    if (!sha256(bytes).equals(hash)) throw damagedChunk(id, 'its bytes do not fit its hash');
    return bytes;
  }

  /** A chunk as it is stored, its base behind it, and so on. Throws `corrupted`. */
  stack(id: number): EncodedChunk[] {
    const stack: EncodedChunk[] = [];
    for (let next: number | null = id; next !== null; ) {
      const row = this.#readChunk.get(next) as (EncodedChunk & { base: number | null }) | undefined;
      if (!row) throw damagedChunk(id, next === id ? 'it is missing' : 'what it is a delta to is missing');
      if (stack.length > MAX_STACK) throw damagedChunk(id, 'it is a delta to too many others');
      const { hash, size, codec, data } = row;
      stack.push({ hash, size, codec, data });
      next = row.base;
    }
    return stack;
  }

  // ---- how content is stored ----

  layout(id: number): ChunkLayout | undefined {
    return this.database.prepare('SELECT size, codec, base, stored FROM chunk WHERE id = ?').get(id) as never;
  }

  /** The chunks that are deltas to it. */
  dependantsOf(id: number): number[] {
    return this.database
      .prepare('SELECT id FROM chunk WHERE base = ?')
      .all(id)
      .map((row) => Number(row.id));
  }

  /** The same bytes, stored in another way. False, and nothing is changed, when it is no longer stored as it was. */
  replaceChunk(
    id: number,
    { codec, base, stored }: ChunkLayout,
    next: { codec: number; base: number | null; data: Uint8Array },
  ): boolean {
    return this.database.transaction(() => {
      if (next.base !== null && !this.#canBeBase(next.base, id)) return false;
      const { changes } = this.database
        .prepare(
          'UPDATE chunk SET codec = ?, base = ?, stored = ?, data = ? WHERE id = ? AND codec = ? AND base IS ? AND stored = ?',
        )
        .run(next.codec, next.base, next.data.length, next.data, id, codec, base, stored);
      return changes === 1;
    });
  }

  #canBeBase(base: number, of: number): boolean {
    for (let at: number | null = base; at !== null; ) {
      const layout: ChunkLayout | undefined = at === of ? undefined : this.layout(at);
      if (!layout) return false;
      at = layout.base;
    }
    return true;
  }

  // ---- what is saved ----

  commit(row: Omit<SavedRow, 'seq'>, chunks: readonly number[]): number {
    return this.#change(() => {
      const { lastInsertRowid } = this.database
        .prepare('INSERT INTO saved (id, kind, run, created, body, metrics, sum) VALUES (?, ?, ?, ?, ?, ?, ?)')
        .run(row.id, row.kind, row.run, row.created, row.body, row.metrics, rowSum(row));
      const seq = Number(lastInsertRowid);
      const insert = this.database.prepare('INSERT INTO saved_chunk (saved, position, chunk) VALUES (?, ?, ?)');
      chunks.forEach((chunk, position) => void insert.run(seq, position, chunk));
      return seq;
    });
  }

  saved(id: string): SavedRow | undefined {
    return this.database.prepare('SELECT seq, id, kind, run, created, body, metrics FROM saved WHERE id = ?').get(id) as
      | SavedRow
      | undefined;
  }

  /** Of every kind, or of one. */
  *allSaved(kind?: SavedKind): Generator<SavedRow & { sum: Uint8Array }> {
    const one = kind === undefined ? '' : `AND kind = '${kind}'`;
    const page = this.database.prepare(`SELECT * FROM saved WHERE seq > ? ${one} ORDER BY seq LIMIT 100`);
    let after = 0;
    for (;;) {
      const rows = page.all(after) as (SavedRow & { sum: Uint8Array })[];
      if (rows.length === 0) return;
      yield* rows;
      after = rows[rows.length - 1]!.seq;
    }
  }

  chunksOf(seq: number): number[] {
    return this.database
      .prepare('SELECT chunk FROM saved_chunk WHERE saved = ? ORDER BY position')
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
        'SELECT chunk.id, chunk.size, chunk.hash FROM saved_chunk JOIN chunk ON chunk.id = saved_chunk.chunk WHERE saved = ? ORDER BY position',
      )
      .all(seq) as { id: number; size: number; hash: Uint8Array }[];
  }

  /** The hashes of a run's newest saved row, one after the other: what its next checkpoint may have again. */
  newestHashes(run: string): Uint8Array {
    const newest = this.database.prepare('SELECT max(seq) AS seq FROM saved WHERE run = ?').get(run)!.seq;
    return newest === null ? new Uint8Array(0) : Buffer.concat(this.chunkHashes(Number(newest)));
  }

  /** Forgets a saved row. Its chunks go with the next sweep, unless something else refers to them. */
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

  /** Adds a mark; of kinds other than `tag` and `doubt` a row has one, the newest. */
  setMark(id: string, kind: MarkKind, value: string): void {
    this.#change(() => {
      const row = this.saved(id);
      if (!row) return;
      if (kind !== 'tag' && kind !== 'doubt')
        this.database.prepare('DELETE FROM mark WHERE saved = ? AND kind = ?').run(row.seq, kind);
      this.database
        .prepare('INSERT OR REPLACE INTO mark (saved, kind, value) VALUES (?, ?, ?)')
        .run(row.seq, kind, value);
    });
  }

  clearMark(id: string, kind: MarkKind, value?: string): void {
    this.#change(() => {
      const row = this.saved(id);
      if (!row) return;
      if (value === undefined)
        this.database.prepare('DELETE FROM mark WHERE saved = ? AND kind = ?').run(row.seq, kind);
      else
        this.database.prepare('DELETE FROM mark WHERE saved = ? AND kind = ? AND value = ?').run(row.seq, kind, value);
    });
  }

  // ---- meta ----

  /** Raised by every change of saved rows and marks; the catalog compares it with the one it has followed up to. */
  changes(): number {
    return Number(this.meta('changes') ?? 0);
  }

  meta(key: string): string | undefined {
    return this.database.prepare('SELECT value FROM meta WHERE key = ?').get(key)?.value;
  }

  setMeta(key: string, value: string): void {
    this.database.prepare('INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)').run(key, value);
  }

  #change<T>(body: () => T): T {
    return this.database.transaction(() => {
      const result = body();
      this.setMeta('changes', String(this.changes() + 1));
      return result;
    });
  }
}

/** The chunks that one save has looked up or written so far. */
export interface Save {
  held: Set<number>;
}

/** The bytes of a stack's first chunk, not yet compared with its hash. */
export function decodeStack(stack: readonly EncodedChunk[]): Uint8Array {
  return stack.reduceRight<Uint8Array | null>(
    (base, { data, codec, size }) => decodeChunk(data, codec, size, base),
    null,
  )!;
}

export function damagedChunk(id: number, problem: string): TrainstashError {
  return new TrainstashError('corrupted', `Stored chunk ${id} is damaged: ${problem}.`, { chunk: String(id) });
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

/** Guards a saved row's own text against flipped bits; its chunks have hashes of their own. */
export function rowSum(row: Omit<SavedRow, 'seq'>): Buffer {
  const hash = createHash('sha256');
  for (const part of [row.id, row.kind, row.run, String(row.created), row.body]) hash.update(part).update('\0');
  return hash.update(row.metrics ?? '').digest();
}
