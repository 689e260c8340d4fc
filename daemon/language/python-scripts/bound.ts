/** Names that are surely bound at a place. */
import type { Key } from './flow.ts';

/** Names of a block, on top of those of the blocks around it: a long script has many statements, and each only adds a few names. */
export class Bound {
  readonly #around: Bound | null;
  readonly #own: Set<Key>;

  /** `keys`: names that are bound where the block begins, beside those around it. */
  constructor(around: Bound | null, keys: Iterable<Key> = []) {
    this.#around = around;
    this.#own = new Set(keys);
  }

  has(key: Key): boolean {
    // Not recursive: each `elif` is a block in the one before.
    for (let block: Bound | null = this; block; block = block.#around) if (block.#own.has(key)) return true;
    return false;
  }

  add(key: Key): void {
    this.#own.add(key);
  }

  /** Adds what some block on top of this one has bound. */
  addAll(block: Bound): void {
    for (const key of block.#since(this)) this.#own.add(key);
  }

  /** Adds what all of several blocks on top of this one have bound. */
  addCommon(one: Bound, others: readonly Bound[]): void {
    for (const key of one.#since(this)) if (others.every((other) => other.has(key))) this.#own.add(key);
  }

  *#since(base: Bound): Iterable<Key> {
    for (let block: Bound | null = this; block && block !== base; block = block.#around) yield* block.#own;
  }
}
