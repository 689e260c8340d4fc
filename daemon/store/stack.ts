/** A chunk as it is stored: by itself, or as a delta to another, which may be one in turn. */
import { TrainstashError } from '../../protocol/errors.ts';
import { MAX_CHUNK_BYTES } from './chunking.ts';
import { CODEC, decodeChunk } from './codec.ts';

/** Far above what packing makes: a chunk that is its own base must not be read for ever. */
export const MAX_STACK = 64;
const KNOWN_CODECS: ReadonlySet<number> = new Set(Object.values(CODEC));

/** As it lies in the store: of a delta the bytes come out only with those of its base. */
export interface EncodedChunk {
  hash: Uint8Array;
  size: number;
  codec: number;
  data: Uint8Array;
}

/** The bytes of a stack's first chunk, not yet compared with its hash. */
export function decodeStack(stack: readonly EncodedChunk[]): Uint8Array {
  return stack.reduceRight<Uint8Array | null>(
    (base, { data, codec, size }) => decodeChunk(data, codec, size, base),
    null,
  )!;
}

/** Says what cannot be so in a chunk's row, before anything is made of its numbers; null when it can. */
export function chunkProblem({ size, codec, data }: EncodedChunk): string | null {
  if (!(Number.isSafeInteger(size) && size >= 0 && size <= MAX_CHUNK_BYTES)) return `no chunk has ${size} bytes`;
  if (!KNOWN_CODECS.has(codec)) return `it is stored in a way that is not known (${codec})`;
  if (codec === CODEC.raw && data.length !== size) return `it has ${data.length} bytes instead of ${size}`;
  return null;
}

export function damagedChunk(id: number, problem: string): TrainstashError {
  return new TrainstashError('corrupted', `Stored chunk ${id} is damaged: ${problem}.`, { chunk: String(id) });
}
