import { randomFillSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { BLOCK, orderOf } from '../../../../daemon/store/maintenance/packing.ts';
import { CODEC, decodeChunk, encodeSmall } from '../../../../daemon/store/objects/codec.ts';
import { decodeDelta, encodeDelta } from '../../../../daemon/store/objects/delta.ts';

describe('a delta', () => {
  test('restores any bytes, in both widths and of any length', () => {
    for (const width of [2, 4] as const)
      for (const length of [0, 1, 3, 5, 64, 4095, 40_001]) {
        const [bytes, base] = [randomFillSync(Buffer.alloc(length)), randomFillSync(Buffer.alloc(length))];
        expect(decodeDelta(encodeDelta(bytes, base, width), base, width), `${width}, ${length}`).toEqual(
          new Uint8Array(bytes),
        );
      }
  });

  test('restores NaN with its payload, infinities, both zeros and the largest steps', () => {
    const special = Uint32Array.of(
      ...[0, 0x80000000, 0x7f800000, 0xff800000, 0x7fc00001, 0xffffffff, 1, 0x80000001, 0x7f7fffff, 0xff7fffff],
    );
    const every = Uint32Array.from({ length: special.length ** 2 }, (_, i) => special[i % special.length]!);
    const other = Uint32Array.from(every, (_, i) => special[Math.floor(i / special.length)]!);
    const [bytes, base] = [new Uint8Array(every.buffer), new Uint8Array(other.buffer)];
    expect(decodeDelta(encodeDelta(bytes, base, 4), base, 4)).toEqual(bytes);
  });

  test('accepts bytes at odd addresses', () => {
    const around = randomFillSync(Buffer.alloc(4001));
    const [bytes, base] = [around.subarray(1, 2001), around.subarray(2001, 4001)];
    expect(decodeDelta(encodeDelta(bytes, base, 4), base, 4)).toEqual(new Uint8Array(bytes));
  });

  test('of weights after a small step is much smaller than the weights', () => {
    const before = Float32Array.from({ length: 100_000 }, (_, i) => Math.sin(i * 12.9898) * 0.1);
    const after = Float32Array.from(before, (value, i) => value + Math.sin(i * 78.233) * 1e-4);
    const [bytes, base] = [new Uint8Array(after.buffer), new Uint8Array(before.buffer)];
    const small = encodeSmall(bytes, base);
    expect(small.codec).toBe(CODEC.delta4);
    expect(small.data.length).toBeLessThan(encodeSmall(bytes, null).data.length * 0.7);
    expect(Buffer.from(decodeChunk(small.data, small.codec, bytes.length, base))).toEqual(Buffer.from(bytes));
  });

  test('of half-precision weights uses their width', () => {
    // bfloat16 values are the upper halves of float32 values.
    const halves = (step: number) =>
      Uint16Array.from({ length: 100_000 }, (_, i) => {
        const value = Float32Array.of(Math.sin(i * 12.9898) * 0.1 * (1 + step * Math.sin(i)));
        return new Uint16Array(value.buffer)[1]!;
      });
    const [bytes, base] = [new Uint8Array(halves(0.01).buffer), new Uint8Array(halves(0).buffer)];
    const small = encodeSmall(bytes, base);
    expect(small.codec).toBe(CODEC.delta2);
    expect(Buffer.from(decodeChunk(small.data, small.codec, bytes.length, base))).toEqual(Buffer.from(bytes));
  });

  test('to an unrelated base is not used', () => {
    const [bytes, base] = [randomFillSync(Buffer.alloc(1 << 16)), randomFillSync(Buffer.alloc(1 << 16))];
    expect(encodeSmall(bytes, base).codec).toBe(CODEC.raw);
  });

  test('that is damaged or has another base throws or gives other bytes, and ends', () => {
    const before = Float32Array.from({ length: 20_000 }, (_, i) => Math.sin(i * 12.9898));
    const after = Float32Array.from(before, (value) => value * 1.0001);
    const [bytes, base] = [new Uint8Array(after.buffer), new Uint8Array(before.buffer)];
    const whole = encodeDelta(bytes, base, 4);
    for (let at = 0; at < whole.length; at += 97) {
      const damaged = Uint8Array.from(whole);
      damaged[at]! ^= 0x10;
      const result = attempt(() => decodeDelta(damaged, base, 4));
      expect(result === null || result.length === bytes.length).toBe(true);
    }
    for (const length of [0, 3, 100, whole.length - 5])
      expect(attempt(() => decodeDelta(whole.subarray(0, length), base, 4))).toBeNull();
    expect(() => decodeChunk(whole, CODEC.delta4, bytes.length, base.subarray(4))).toThrow(RangeError);
    expect(() => decodeChunk(whole, CODEC.delta4, bytes.length, null)).toThrow(RangeError);
  });
});

describe('a block of successive checkpoints', () => {
  test.for(Array.from({ length: BLOCK }, (_, i) => i + 1))(
    'of %i: each has its place, after its base, at most three deltas away from the middle',
    (length) => {
      const depth = new Map<number, number>();
      for (const { index, base } of orderOf(length)) {
        expect(depth.has(index)).toBe(false);
        depth.set(index, base === null ? 0 : depth.get(base)! + 1);
      }
      expect([...depth.keys()].sort((a, b) => a - b)).toEqual(Array.from({ length }, (_, i) => i));
      expect([...depth.values()].filter((one) => one === 0)).toHaveLength(1);
      expect(Math.max(...depth.values())).toBeLessThanOrEqual(3);
    },
  );
});

function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch {
    return null;
  }
}
