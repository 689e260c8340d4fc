import { constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

import { type DeltaWidth, decodeDelta, encodeDelta } from './delta.ts';

/** Codecs of chunks. The numbers are in every store: never change or reuse one. */
export const CODEC = { raw: 0, zstd: 1, shuffle2: 2, shuffle4: 4, shuffle8: 8, delta2: 18, delta4: 20 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

/** Share below which a sample must shrink at ingestion for a codec to be used: less costs more than it saves. */
const WORTH_IT = 0.75;
/**
 * Share when there is time: five percent are worth it, and a delta has to save as much compared with the chunk alone.
 */
const WORTH_TIME = 0.95;
/** Share at which a sample decides clearly for a delta, so that the whole chunk need not be tried alone. */
const CLEARLY = 0.85;
const SAMPLE_BYTES = 32 << 10;
const LEVEL = { params: { [zlib.ZSTD_c_compressionLevel]: 1 } };

export function encodeChunk(bytes: Uint8Array, codec: Codec): { codec: Codec; data: Uint8Array } {
  if (codec === CODEC.raw) return { codec, data: bytes };
  const data = encode(bytes, codec);
  return data.length < bytes.length ? { codec, data } : { codec: CODEC.raw, data: bytes };
}

/** Decodes a chunk; `base` is the chunk that it is a delta to. Throws when it is missing, or the data is damaged. */
export function decodeChunk(data: Uint8Array, codec: number, size: number, base: Uint8Array | null): Uint8Array {
  if (codec === CODEC.raw) return data;
  if (isDelta(codec)) {
    if (base?.length !== size) throw new RangeError('the base of a delta has the wrong size');
    return decodeDelta(data, base, deltaWidth(codec));
  }
  // `maxOutputLength` limits the memory that a damaged or hostile chunk can make us allocate.
  const plain = zstdDecompressSync(data, { maxOutputLength: Math.max(size, 1) });
  return codec === CODEC.zstd ? plain : unshuffle(plain, codec);
}

/**
 * Chooses a codec by compressing a sample from the middle. `elementBytes` is the tensor element's size (1 when
 * unknown): floats compress better when all first bytes are together, then all second bytes, and so on.
 */
export function chooseCodec(bytes: Uint8Array, elementBytes: number): Codec {
  return smallest(bytes, [CODEC.zstd, shuffleOf(elementBytes)], WORTH_IT);
}

/** Encodes as small as possible, taking its time. `base` has the same size; null: there is none. */
export function encodeSmall(bytes: Uint8Array, base: Uint8Array | null): { codec: Codec; data: Uint8Array } {
  const shuffles = [CODEC.zstd, CODEC.shuffle2, CODEC.shuffle4, CODEC.shuffle8];
  const codec = smallest(bytes, shuffles, WORTH_TIME);
  if (base === null || bytes.length < 64) return encodeChunk(bytes, codec);
  const part = middleOf(bytes);
  const others = middleOf(base);
  const [delta2, delta4] = [encodeDelta(part, others, 2), encodeDelta(part, others, 4)];
  const delta = delta2.length < delta4.length ? CODEC.delta2 : CODEC.delta4;
  const data = encodeDelta(bytes, base, deltaWidth(delta));
  const isClear = Math.min(delta2.length, delta4.length) < encodeChunk(part, codec).data.length * CLEARLY;
  if (isClear && data.length < bytes.length * WORTH_TIME) return { codec: delta, data };
  const alone = encodeChunk(bytes, codec);
  return data.length < alone.data.length * WORTH_TIME ? { codec: delta, data } : alone;
}

function middleOf(bytes: Uint8Array): Uint8Array {
  const middle = Math.max(0, (bytes.length - SAMPLE_BYTES) >> 1) & ~7;
  return bytes.subarray(middle, middle + SAMPLE_BYTES);
}

function smallest(bytes: Uint8Array, codecs: readonly (Codec | null)[], worth: number): Codec {
  if (bytes.length < 64) return CODEC.raw;
  const sample = middleOf(bytes);
  let best: Codec = CODEC.raw;
  let bestSize = sample.length * worth;
  for (const codec of codecs) {
    if (codec === null) continue;
    const size = encode(sample, codec).length;
    if (size < bestSize) {
      best = codec;
      bestSize = size;
    }
  }
  return best;
}

function shuffleOf(elementBytes: number): Codec | null {
  return elementBytes === 2 || elementBytes === 4 || elementBytes === 8 ? elementBytes : null;
}

export function isDelta(codec: number): codec is typeof CODEC.delta2 | typeof CODEC.delta4 {
  return codec === CODEC.delta2 || codec === CODEC.delta4;
}

function deltaWidth(codec: typeof CODEC.delta2 | typeof CODEC.delta4): DeltaWidth {
  return codec === CODEC.delta2 ? 2 : 4;
}

function encode(bytes: Uint8Array, codec: Codec): Uint8Array {
  return zstdCompressSync(codec === CODEC.zstd ? bytes : shuffle(bytes, codec), LEVEL);
}

/** Groups byte 0 of all elements, then byte 1, …; an incomplete element stays at the end. */
function shuffle(bytes: Uint8Array, width: number): Uint8Array {
  const count = Math.floor(bytes.length / width);
  const out = new Uint8Array(bytes.length);
  for (let lane = 0; lane < width; lane++) {
    const start = lane * count;
    for (let i = 0, at = lane; i < count; i++, at += width) out[start + i] = bytes[at]!;
  }
  out.set(bytes.subarray(count * width), count * width);
  return out;
}

function unshuffle(bytes: Uint8Array, width: number): Uint8Array {
  const count = Math.floor(bytes.length / width);
  const out = new Uint8Array(bytes.length);
  for (let lane = 0; lane < width; lane++) {
    const start = lane * count;
    for (let i = 0, at = lane; i < count; i++, at += width) out[at] = bytes[start + i]!;
  }
  out.set(bytes.subarray(count * width), count * width);
  return out;
}
