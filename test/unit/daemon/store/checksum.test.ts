/** The checksum of chunks: the published XXH3, wherever the bytes are, and different after any flipped bit. */
import { expect, test } from 'vitest';
import {
  checksumMemory,
  checksumOf,
  hasChecksum,
  KERNEL_BYTES,
  useChecksumMemory,
  xxh3,
} from '../../../../daemon/store/objects/checksum.ts';

/** Values of the reference implementation (python-xxhash, `xxh3_64`) for the first bytes of `bytes`. */
const REFERENCE: readonly [length: number, sum: string][] = [
  [241, 'd6afac6f8fa85b01'],
  [256, '9e6593bab96413da'],
  [512, '426b67e0356d303d'],
  [1023, '120a0457e3e899f6'],
  [1024, 'bb9f0c3761cdfd54'],
  [1025, '95edccc1adc4d895'],
  [1087, 'b954c65e909b59e2'],
  [1088, 'e8391a3978cbcf06'],
  [2048, '278f7a6a39416b51'],
  [4096, '436f521f6688c5ed'],
  [65535, '207ade2d8ad22d1c'],
  [65536, 'b25b6166131fa281'],
  [65537, '49235290459c83cc'],
  [66560, '7e57d848d507ae01'],
  [200000, '1242b05afac6929c'],
  [262144, 'f9f794b1ede84940'],
];

const bytes = (() => {
  let state = 1;
  return Uint8Array.from({ length: 1 << 18 }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
})();
const HASH = Uint8Array.from({ length: 32 }, (_, i) => i * 7);

test('it is XXH3, for every kind of length', () => {
  for (const [length, sum] of REFERENCE)
    expect(xxh3(bytes.subarray(0, length)).toString(16).padStart(16, '0'), `${length} bytes`).toBe(sum);
});

test('it is the same at any place of any buffer, and where the bytes are in the memory of a kernel', () => {
  const memory = checksumMemory(1 << 20);
  useChecksumMemory(memory);
  const inside = new Uint8Array(memory.buffer);
  for (const [length, sum] of REFERENCE)
    for (const at of [0, 1, 7, 4_096, (1 << 20) - length]) {
      const place = inside.subarray(KERNEL_BYTES + at, KERNEL_BYTES + at + length);
      place.set(bytes.subarray(0, length));
      expect(xxh3(place).toString(16).padStart(16, '0'), `${length} bytes at ${at}`).toBe(sum);
      expect(xxh3(Uint8Array.from(place))).toBe(xxh3(place));
    }
});

test('a flipped bit at any byte, a lost end, zeros and two pieces that changed places are noticed', () => {
  const chunk = bytes.slice(0, 70_001);
  const sum = checksumOf(chunk, HASH)!;
  expect(hasChecksum(chunk, HASH, sum)).toBe(true);
  for (let at = 0; at < chunk.length; at += at < 4_096 || at > 65_000 ? 1 : 61) {
    chunk[at]! ^= 1 << (at & 7);
    expect(hasChecksum(chunk, HASH, sum), `bit of byte ${at}`).toBe(false);
    chunk[at]! ^= 1 << (at & 7);
  }
  expect(hasChecksum(chunk.subarray(0, 70_000), HASH, sum)).toBe(false);
  const torn = chunk.slice();
  torn.fill(0, 65_536);
  expect(hasChecksum(torn, HASH, sum)).toBe(false);
  for (const size of [64, 1_024, 4_096]) {
    const mixed = chunk.slice();
    mixed.copyWithin(0, size, 2 * size);
    mixed.set(chunk.subarray(0, size), size);
    expect(hasChecksum(mixed, HASH, sum), `pieces of ${size}`).toBe(false);
  }
});

test('it belongs to one hash: the bytes and the checksum of another chunk do not fit', () => {
  const sum = checksumOf(bytes, HASH)!;
  for (let bit = 0; bit < 64; bit++) {
    const other = HASH.slice();
    other[bit >> 3]! ^= 1 << (bit & 7);
    expect(hasChecksum(bytes, other, sum)).toBe(false);
  }
});

test('small chunks have none: SHA-256 takes no longer', () => {
  expect(checksumOf(bytes.subarray(0, 4_095), HASH)).toBeNull();
  expect(checksumOf(bytes.subarray(0, 4_096), HASH)).not.toBeNull();
  expect(hasChecksum(bytes.subarray(0, 10), HASH, new Uint8Array(8))).toBe(false);
});
