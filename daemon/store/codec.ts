import { constants as zlib, zstdCompressSync, zstdDecompressSync } from 'node:zlib';

/** How a chunk's bytes are stored. The numbers are in every store: never change or reuse one. */
export const CODEC = { raw: 0, zstd: 1, shuffle2: 2, shuffle4: 4, shuffle8: 8 } as const;
export type Codec = (typeof CODEC)[keyof typeof CODEC];

/** A codec is used only if the sample shrinks below this share: less is not worth the time at the next restore. */
const WORTH_IT = 0.75;
const SAMPLE_BYTES = 32 << 10;
const LEVEL = { params: { [zlib.ZSTD_c_compressionLevel]: 1 } };

export function encodeChunk(bytes: Uint8Array, codec: Codec): { codec: Codec; data: Uint8Array } {
  if (codec === CODEC.raw) return { codec, data: bytes };
  const data = encode(bytes, codec);
  return data.length < bytes.length ? { codec, data } : { codec: CODEC.raw, data: bytes };
}

export function decodeChunk(data: Uint8Array, codec: number, size: number): Uint8Array {
  if (codec === CODEC.raw) return data;
  // `maxOutputLength` bounds what a damaged or hostile chunk can make us allocate.
  const plain = zstdDecompressSync(data, { maxOutputLength: Math.max(size, 1) });
  return codec === CODEC.zstd ? plain : unshuffle(plain, codec);
}

/**
 * Chooses a codec by compressing a sample from the middle. `elementBytes` is the tensor element's size (1 when unknown):
 * floats compress better when their first bytes stand together, then their second bytes, and so on.
 */
export function chooseCodec(bytes: Uint8Array, elementBytes: number): Codec {
  if (bytes.length < 64) return CODEC.raw;
  const middle = Math.max(0, (bytes.length - SAMPLE_BYTES) >> 1) & ~7;
  const sample = bytes.subarray(middle, middle + SAMPLE_BYTES);
  let best: Codec = CODEC.raw;
  let bestSize = sample.length * WORTH_IT;
  for (const codec of [CODEC.zstd, shuffleOf(elementBytes)]) {
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

function encode(bytes: Uint8Array, codec: Codec): Uint8Array {
  return zstdCompressSync(codec === CODEC.zstd ? bytes : shuffle(bytes, codec), LEVEL);
}

/** Bytes 0 of all elements, then bytes 1, …; a rest that fills no element stays at the end. */
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
