/** Messages between the store worker and its hasher thread. */
export const SLOT_BYTES = 4 << 20;
export const SLOT_COUNT = 20;
export const SLOT_FREE = 0;
export const SLOT_USED = 1;

export interface HasherRequest {
  id: number;
  path: string;
  /** Hashes that the file may have again, 32 bytes each. */
  expected: Uint8Array;
}

export type HasherMessage =
  | {
      type: 'chunk';
      id: number;
      slot: number;
      hash: Uint8Array;
      size: number;
      sum: Uint8Array | null;
      codec: number;
      bytes: number;
    }
  /** Chunk with an expected hash; its bytes were not kept. */
  | { type: 'expected'; id: number; hash: Uint8Array; size: number }
  | { type: 'end'; id: number }
  | { type: 'error'; id: number; changed: boolean; name: string; message: string; code: string | null };
