/** Stores content in objects.db: each chunk once, under its hash, as it is or as a delta to another. */
import { createHash } from 'node:crypto';
import type { Database, Statement } from '../../../base/sqlite.ts';
import { CHECKSUM_BYTES, checksumOf, hasChecksum } from './checksum.ts';
import { prepareChecksums } from './objects-schema.ts';
import { chunkProblem, damagedChunk, decodeStack, type EncodedChunk, MAX_STACK } from './stack.ts';

/** Layout of a chunk. `base` is the chunk that it is a delta to; `stored` is the size of its data. */
export interface ChunkLayout {
  size: number;
  codec: number;
  base: number | null;
  stored: number;
}

/** Largest row number: larger ones are invalid, and not exact in JavaScript. */
export const MAX_ROW = Number.MAX_SAFE_INTEGER;
export interface ChunkReference {
  id: number;
  /** Number of bytes added to the store: 0 when the chunk existed. */
  added: number;
}

/** Chunks that one save has looked up or written so far. */
export interface Save {
  held: Set<number>;
}

export class Chunks {
  readonly database: Database;
  /** Chunks that a save under way refers to: a sweep keeps them. One process owns the store, so memory is enough. */
  readonly #held = new Map<number, number>();
  readonly #findChunk: Statement;
  readonly #insertChunk: Statement;
  /** Null: checksums are not used, since the store cannot take them or cannot forget old ones. */
  #insertChecksum: Statement | null;
  #readChunk: Statement;
  readonly #readLayout: Statement;
  /** Next row numbers. Assigned here, not by SQLite: after a row with the largest number there would be no other. */
  readonly #next = new Map<'chunk' | 'saved', number>();

  /** Opens the chunks. It closes the database with itself, also when the rows cannot be read. */
  constructor(database: Database) {
    this.database = database;
    try {
      this.#findChunk = this.database.prepare(`SELECT id FROM chunk WHERE hash = ? AND id BETWEEN 1 AND ${MAX_ROW}`);
      this.#insertChunk = this.database.prepare(
        'INSERT INTO chunk (id, hash, size, codec, base, stored, data) VALUES (?, ?, ?, ?, NULL, ?, ?)',
      );
      [this.#insertChecksum, this.#readChunk] = this.#checksumStatements();
      this.#readLayout = this.database.prepare(
        `SELECT size, codec, CASE WHEN base BETWEEN 1 AND ${MAX_ROW} THEN base WHEN base IS NOT NULL THEN 0 END AS base, stored
         FROM chunk WHERE id = ? AND size BETWEEN 0 AND ${MAX_ROW} AND stored BETWEEN 0 AND ${MAX_ROW} AND codec BETWEEN 0 AND 255`,
      );
    } catch (error) {
      this.database.close();
      throw error;
    }
  }

  close(): void {
    this.database.close();
  }

  /** Makes checksums usable in a store of an earlier version, or one that was copied. `path` is that of the database. */
  useChecksums(path: string): void {
    const isUsable = prepareChecksums(this.database, path);
    [this.#insertChecksum, this.#readChunk] = this.#checksumStatements(isUsable);
  }

  #checksumStatements(isUsable = true): [insert: Statement | null, read: Statement] {
    const find = "SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'checksum'";
    const has = isUsable && this.database.prepare(find).get() !== undefined;
    const sum = has
      ? `(SELECT sum FROM checksum WHERE chunk = chunk.id AND octet_length(sum) = ${CHECKSUM_BYTES})`
      : 'NULL';
    return [
      has ? this.database.prepare('INSERT OR REPLACE INTO checksum (chunk, sum) VALUES (?, ?)') : null,
      this.database.prepare(`SELECT hash, size, codec, base, data, ${sum} AS sum FROM chunk WHERE id = ?`),
    ];
  }

  /**
   * Returns a row number that was never used: a reader of a row must not find another row there. Looked up at the first
   * insertion, not at the start, so that a damaged page does not prevent reading the others.
   */
  protected give(table: 'chunk' | 'saved', key: string): number {
    const next = this.#next.get(table) ?? this.#firstFree(table, key);
    this.#next.set(table, next + 1);
    return next;
  }

  #firstFree(table: 'chunk' | 'saved', key: string): number {
    const { last } = this.database
      .prepare(
        `SELECT max((SELECT coalesce(max(${key}), 0) FROM ${table} WHERE ${key} < ${MAX_ROW}),
           coalesce((SELECT max(seq) FROM sqlite_sequence WHERE name = '${table}' AND seq < ${MAX_ROW}), 0)) AS last`,
      )
      .get()!;
    return Number(last) + 1;
  }

  // ---- content ----

  /** Looks up or inserts each chunk, in one transaction, and holds it for `save` until `endSave`. */
  putChunks(save: Save, chunks: readonly EncodedChunk[]): ChunkReference[] {
    const references = this.database.transaction(() =>
      chunks.map(({ hash, size, codec, data, sum }) => {
        const found = this.#findChunk.get(hash);
        if (found) return { id: Number(found.id), added: 0 };
        const id = this.give('chunk', 'id');
        this.#insertChunk.run(id, hash, size, codec, data.length, data);
        if (sum) this.#insertChecksum?.run(id, sum);
        return { id, added: data.length };
      }),
    );
    for (const { id } of references) this.#hold(save, id);
    return references;
  }

  /** Finds the chunk with this hash, and holds it for `save`; null when there is none. */
  findChunk(save: Save, hash: Uint8Array): number | null {
    const found = this.#findChunk.get(hash);
    if (!found) return null;
    this.#hold(save, Number(found.id));
    return Number(found.id);
  }

  /** Holds chunks for a reader until `endSave`, even if their row is forgotten. */
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

  /**
   * Reads the chunk's bytes and checks them: against its checksum, or, with `full` and where that is not known or does not match,
   * against its hash. Throws `corrupted`. `checksum` tells about the checksum itself.
   */
  chunk(id: number, full: boolean): { bytes: Uint8Array; checksum: 'right' | 'missing' | 'wrong' } {
    const stack = this.stack(id);
    const { hash, size, sum } = stack[0]!;
    let bytes: Uint8Array;
    try {
      bytes = decodeStack(stack);
    } catch {
      throw damagedChunk(id, 'it cannot be decompressed');
    }
    if (bytes.length !== size) throw damagedChunk(id, `it has ${bytes.length} bytes instead of ${size}`);
    const checksum = sum === null ? 'missing' : hasChecksum(bytes, hash, sum) ? 'right' : 'wrong';
    if ((full || checksum !== 'right') && !sha256(bytes).equals(hash))
      throw damagedChunk(id, 'its bytes do not match its hash');
    return { bytes, checksum };
  }

  /** Records the checksum of a chunk, whose bytes were just compared with its hash. */
  setChecksum(id: number, bytes: Uint8Array): void {
    const hash = this.database.prepare('SELECT hash FROM chunk WHERE id = ?').get(id)?.hash;
    const sum = hash && checksumOf(bytes, hash);
    if (sum) this.#insertChecksum?.run(id, sum);
  }

  get hasChecksums(): boolean {
    return this.#insertChecksum !== null;
  }

  /** Returns the stored chunk, then its base, and so on. Throws `corrupted`. */
  stack(id: number): EncodedChunk[] {
    const stack: EncodedChunk[] = [];
    for (let next: number | null = id; next !== null; ) {
      const row = this.#chunkRow(next);
      if (!row) throw damagedChunk(id, next === id ? 'it is missing' : 'the base of its delta is missing');
      if (stack.length > MAX_STACK) throw damagedChunk(id, 'its chain of deltas is too long');
      const { hash, size, codec, data, sum } = row;
      const problem = chunkProblem(row);
      if (problem !== null) throw damagedChunk(id, problem);
      stack.push({ hash, size, codec, data, sum });
      next = row.base;
    }
    return stack;
  }

  #chunkRow(id: number): (EncodedChunk & { base: number | null }) | undefined {
    try {
      return this.#readChunk.get(id) as (EncodedChunk & { base: number | null }) | undefined;
    } catch (error) {
      // Node's own SQLite throws for a number that JavaScript cannot represent.
      if (error instanceof RangeError) throw damagedChunk(id, 'its row has a number that is too large');
      throw error;
    }
  }

  // ---- how content is stored ----

  /** Reads the layout; undefined also for a row with impossible numbers. An impossible base counts as missing. */
  layout(id: number): ChunkLayout | undefined {
    return this.#readLayout.get(id) as ChunkLayout | undefined;
  }

  /** Lists the chunks that are deltas to this one. */
  dependantsOf(id: number): number[] {
    return this.database
      .prepare(`SELECT id FROM chunk WHERE base = ? AND id BETWEEN 1 AND ${MAX_ROW}`)
      .all(id)
      .map((row) => Number(row.id));
  }

  /**
   * Stores the same bytes in another form. Returns false, and changes nothing, when the stored form has changed
   * meanwhile.
   */
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
    const bases = this.basesOf(base);
    return bases !== null && base !== of && !bases.includes(of) && this.layout(base) !== undefined;
  }

  /** Lists the chunk's base, the base of that, and so on; null when the chain is endless, or a part is missing. */
  basesOf(id: number): number[] | null {
    const bases: number[] = [];
    for (let next = this.layout(id)?.base ?? null; next !== null; ) {
      const layout = this.layout(next);
      if (!layout || bases.length > MAX_STACK) return null;
      bases.push(next);
      next = layout.base;
    }
    return bases;
  }
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}
