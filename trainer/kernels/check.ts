/** Form of a check of kernels: the same generated inputs on two backends, and how far the results are apart. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { Random } from '../random.ts';
import { tf } from '../tf.ts';

interface Input {
  values: Float32Array;
  shape: number[];
}

export interface KernelCheck {
  inputs: Input[];
  run(...tensors: Tensor[]): Tensor;
}

const random = Random.seeded(9);

export function input(shape: number[], shift = 0): Input {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, values: Float32Array.from({ length: size }, () => random.float() - 0.5 + shift) };
}

/** Computes the largest difference between two backends, relative to the largest value of the first. */
export async function errorBetween(backends: readonly [string, string], check: KernelCheck): Promise<number> {
  const results: Float32Array[] = [];
  for (const backend of backends) {
    await tf.setBackend(backend);
    const output = tf.tidy(() => check.run(...check.inputs.map(({ values, shape }) => tf.tensor(values, shape))));
    results.push((await output.data()) as Float32Array);
    output.dispose();
  }
  const [expected, own] = results as [Float32Array, Float32Array];
  if (expected.length !== own.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let largest = 0;
  for (let i = 0; i < expected.length; i++) {
    // Not Math.max: a NaN must not get lost.
    const difference = Math.abs(expected[i]! - own[i]!);
    if (!(difference <= error)) error = Number.isNaN(difference) ? Number.POSITIVE_INFINITY : difference;
    largest = Math.max(largest, Math.abs(expected[i]!));
  }
  return largest === 0 ? error : error / largest;
}
