/** Content in objects.db: each chunk once, under its hash, as it is or as a delta to another. */
import { createHash } from 'node:crypto';
import type { Database, Statement } from './driver.ts';
import { chunkProblem, damagedChunk, decodeStack, type EncodedChunk, MAX_STACK } from './stack.ts';

/** `base`: what it is a delta to. `stored`: bytes of its data. */
export interface ChunkLayout {
  size: number;
  codec: number;
  base: number | null;
  stored: number;
}

/** Larger numbers are none of ours, and no numbers of JavaScript. */
export const MAX_ROW = Number.MAX_SAFE_INTEGER;
export interface ChunkReference {
  id: number;
  /** Bytes added to the store: 0 when the chunk was there. */
  added: number;
}

/** The chunks that one save has looked up or written so far. */
export interface Save {
  held: Set<number>;
}

export class Chunks {
  readonly database: Database;
  /** Chunks that a save under way refers to: a sweep keeps them. One process owns the store, so memory is enough. */
  readonly #held = new Map<number, number>();
  readonly #findChunk: Statement;
  readonly #insertChunk: Statement;
  readonly #readChunk: Statement;
  readonly #readLayout: Statement;
  /** Given here, and not by SQLite: a row that has the largest number there is would be the last one. */
  readonly #next = new Map<'chunk' | 'saved', number>();

  /** It closes the database with itself, also when its rows cannot be read. */
  constructor(database: Database) {
    this.database = database;
    try {
      this.#findChunk = this.database.prepare(`SELECT id FROM chunk WHERE hash = ? AND id BETWEEN 1 AND ${MAX_ROW}`);
      this.#insertChunk = this.database.prepare(
        'INSERT INTO chunk (id, hash, size, codec, base, stored, data) VALUES (?, ?, ?, ?, NULL, ?, ?)',
      );
      this.#readChunk = this.database.prepare('SELECT hash, size, codec, base, data FROM chunk WHERE id = ?');
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

  /**
   * Never a number that was given before: who has read a row's must not find another row there. Looked up at the first insertion and
   * not at the start, so that a page that is damaged keeps nobody from what lies on others.
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

  /** Looks each chunk up or inserts it, in one transaction, and holds it for `save` until `endSave`. */
  putChunks(save: Save, chunks: readonly EncodedChunk[]): ChunkReference[] {
    const references = this.database.transaction(() =>
      chunks.map(({ hash, size, codec, data }) => {
        const found = this.#findChunk.get(hash);
        if (found) return { id: Number(found.id), added: 0 };
        const id = this.give('chunk', 'id');
        this.#insertChunk.run(id, hash, size, codec, data.length, data);
        return { id, added: data.length };
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
      const row = this.#chunkRow(next);
      if (!row) throw damagedChunk(id, next === id ? 'it is missing' : 'what it is a delta to is missing');
      if (stack.length > MAX_STACK) throw damagedChunk(id, 'it is a delta to too many others');
      const { hash, size, codec, data } = row;
      const problem = chunkProblem(row);
      if (problem !== null) throw damagedChunk(id, problem);
      stack.push({ hash, size, codec, data });
      next = row.base;
    }
    return stack;
  }

  #chunkRow(id: number): (EncodedChunk & { base: number | null }) | undefined {
    try {
      return this.#readChunk.get(id) as (EncodedChunk & { base: number | null }) | undefined;
    } catch (error) {
      // Node's own SQLite gives no number that JavaScript has not.
      if (error instanceof RangeError) throw damagedChunk(id, 'its row has a number that is too large');
      throw error;
    }
  }

  // ---- how content is stored ----

  /** Undefined also for a row whose numbers cannot be; a base that cannot be is one that is missing. */
  layout(id: number): ChunkLayout | undefined {
    return this.#readLayout.get(id) as ChunkLayout | undefined;
  }

  /** The chunks that are deltas to it. */
  dependantsOf(id: number): number[] {
    return this.database
      .prepare(`SELECT id FROM chunk WHERE base = ? AND id BETWEEN 1 AND ${MAX_ROW}`)
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
    const bases = this.basesOf(base);
    return bases !== null && base !== of && !bases.includes(of) && this.layout(base) !== undefined;
  }

  /** What a chunk is a delta to, what that is one to, and so on; null when there is no end to it, or a part is missing. */
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
