/**
 * Memory of what a remote and this store agreed on when they last met: which checkpoints are there, with which tags, and the notes of
 * runs. It is what lets a change on either side be told from one on the other. Something is noted once both sides have it, never before:
 * what was noted too early would count as sent. Losing it costs some requests, and may bring back a tag that was removed here.
 */
import * as v from 'valibot';
import { readJson, writeJson } from '../../base/files.ts';
import { namedRecord } from '../../protocol/any-names.ts';
import type { Proof } from '../../protocol/domain.ts';
import { readProof } from '../store/catalog/rows.ts';
import { failureOf } from '../store/failures.ts';

/** Marks that people and `verify` give a checkpoint after it was taken. */
export interface Marked {
  tags: string[];
  proof: Proof | null;
}

const knownSchema = v.object({
  checkpoints: namedRecord(
    v.string(),
    v.nullable(v.object({ tags: v.array(v.string()), proof: v.optional(v.unknown(), null) })),
  ),
  notes: namedRecord(v.string(), v.string()),
});

export class KnownThere {
  readonly #path: string;
  /** Marks as of the last exchange; null: it is there, and its marks were never compared. */
  readonly #checkpoints = new Map<string, Marked | null>();
  readonly #notes = new Map<string, string>();

  constructor(path: string) {
    this.#path = path;
    const known = v.safeParse(knownSchema, readJson(path));
    if (!known.success) return;
    for (const [id, marked] of Object.entries(known.output.checkpoints))
      this.#checkpoints.set(id, marked && { tags: marked.tags, proof: readProof(JSON.stringify(marked.proof)) });
    for (const [run, note] of Object.entries(known.output.notes)) this.#notes.set(run, note);
  }

  has(checkpoint: string): boolean {
    return this.#checkpoints.has(checkpoint);
  }

  marked(checkpoint: string): Marked | null {
    return this.#checkpoints.get(checkpoint) ?? null;
  }

  note(run: string): string | undefined {
    return this.#notes.get(run);
  }

  /** Notes the text that both sides have now, or that this side has decided about. */
  setNote(run: string, note: string): void {
    this.#notes.set(run, note);
  }

  /** Notes marks that both sides have now. */
  agreed(checkpoint: string, { tags, proof }: Marked): void {
    this.#checkpoints.set(checkpoint, { tags: [...tags], proof });
  }

  gone(checkpoint: string): void {
    this.#checkpoints.delete(checkpoint);
  }

  /** Takes over the list of a fetch. */
  fetched(checkpoints: ReadonlySet<string>): void {
    for (const id of [...this.#checkpoints.keys()]) if (!checkpoints.has(id)) this.#checkpoints.delete(id);
    for (const id of checkpoints) if (!this.#checkpoints.has(id)) this.#checkpoints.set(id, null);
  }

  /** Writes it to the disk. On one that takes nothing it stays in memory until the next call: a transfer must not fail for that. */
  save(): void {
    try {
      writeJson(this.#path, {
        checkpoints: Object.fromEntries(this.#checkpoints),
        notes: Object.fromEntries(this.#notes),
      });
    } catch (error) {
      if (failureOf(error) === null) throw error;
    }
  }
}

/** Merges two sides that have changed since they agreed: what one has added or removed holds, a newer proof replaces an older one. */
export function merged(base: Marked | null, here: Marked, there: Marked): Marked {
  const before = new Set(base?.tags ?? []);
  const removed = (side: Marked) => [...before].filter((tag) => !side.tags.includes(tag));
  const gone = new Set([...removed(here), ...removed(there)]);
  const tags = [...new Set([...here.tags, ...there.tags])].filter((tag) => !gone.has(tag)).sort();
  const proof = (here.proof?.at ?? 0) >= (there.proof?.at ?? 0) ? here.proof : there.proof;
  return { tags, proof };
}

/**
 * Chooses the note of a run that a push sends: what is there holds unless it was changed here since the last exchange. Without such a
 * memory an empty one here says nothing.
 */
export function noteToSend(base: string | undefined, here: string, there: string | undefined): string {
  return there !== undefined && here === (base ?? '') ? there : here;
}

export function isSame(one: Marked | null, other: Marked): boolean {
  const words = ({ tags, proof }: Marked) => JSON.stringify([[...tags].sort(), proof]);
  return one !== null && words(one) === words(other);
}
