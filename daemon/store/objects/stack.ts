/** Stored form of a chunk: by itself, or as a delta to another, which may be a delta in turn. */
import { createHash } from 'node:crypto';
import { TrainstashError } from '../../../protocol/errors.ts';
import { hasChecksum } from './checksum.ts';
import { CODEC, decodeChunk } from './codec.ts';
import { MAX_CHUNK_BYTES } from './limits.ts';

/** Limit of a chain, far above what packing makes: a chunk that is its own base must not be read for ever. */
export const MAX_STACK = 64;
const KNOWN_CODECS: ReadonlySet<number> = new Set(Object.values(CODEC));

/** Stored form of a chunk. A delta needs its base to be decoded. */
export interface EncodedChunk {
  hash: Uint8Array;
  size: number;
  codec: number;
  data: Uint8Array;
  /** Checksum of the plain bytes; null: it is not known, and SHA-256 is compared. */
  sum: Uint8Array | null;
}

/** Decodes a stack's first chunk, without comparing it with its hash. */
export function decodeStack(stack: readonly EncodedChunk[]): Uint8Array {
  return stack.reduceRight<Uint8Array | null>(
    (base, { data, codec, size }) => decodeChunk(data, codec, size, base),
    null,
  )!;
}

/** Compares a chunk's plain bytes with its checksum, or, where that is not known or does not match, with its hash. */
export function isIntact(bytes: Uint8Array, { hash, sum }: EncodedChunk): boolean {
  if (sum !== null && hasChecksum(bytes, hash, sum)) return true;
  return createHash('sha256').update(bytes).digest().equals(hash);
}

/** Finds an impossible value in a chunk's row, before it is used; null if there is none. */
export function chunkProblem({ size, codec, data }: EncodedChunk): string | null {
  if (!(Number.isSafeInteger(size) && size >= 0 && size <= MAX_CHUNK_BYTES))
    return `its size, ${size} bytes, is out of range`;
  if (!KNOWN_CODECS.has(codec)) return `its encoding is unknown (${codec})`;
  if (codec === CODEC.raw && data.length !== size) return `it has ${data.length} bytes instead of ${size}`;
  return null;
}

export function damagedChunk(id: number, problem: string): TrainstashError {
  return new TrainstashError('corrupted', `Stored chunk ${id} is damaged: ${problem}.`, { chunk: String(id) });
}
