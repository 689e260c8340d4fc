/** What writers of formats read from and write to. They hold one piece of a tensor at a time. */

export interface Out {
  /** Bytes written so far. */
  readonly position: number;
  write(bytes: Uint8Array): void;
  /** Replaces bytes that were written before. */
  patch(offset: number, bytes: Uint8Array): void;
}

export interface OutTensor {
  name: string;
  dtype: string;
  shape: readonly number[];
  /** Of its elements, row by row. */
  bytes: number;
  /** Name of an earlier one that is the same memory; null: memory of its own. */
  tiedTo: string | null;
  pieces(): Iterable<Uint8Array>;
}

/** A tensor that the format has no type for. */
export class UnsupportedTensor extends Error {}
