/** Interfaces of format writers, which hold one piece of a tensor at a time. */

export interface Out {
  /** Number of bytes written so far. */
  readonly position: number;
  write(bytes: Uint8Array): void;
  /** Replaces bytes that were written before. */
  patch(offset: number, bytes: Uint8Array): void;
}

export interface OutTensor {
  name: string;
  dtype: string;
  shape: readonly number[];
  /** Size of its elements, row by row. */
  bytes: number;
  /** Name of an earlier tensor with the same memory; null: its own memory. */
  tiedTo: string | null;
  pieces(): Iterable<Uint8Array>;
}

/** Error for a tensor whose type the format lacks. */
export class UnsupportedTensor extends Error {}
