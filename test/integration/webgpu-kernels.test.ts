/** WebGPU against cpu, kernel by kernel, and against itself: the same bits each time. SwiftShader is the GPU. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { softwareGpu } from '../../scripts/software-gpu.ts';
import { errorBetween, input } from '../../trainer/kernels/check.ts';
import { kernelChecks, replacedChecks } from '../../trainer/kernels/checks.ts';
import { webgpuReplacements } from '../../trainer/kernels/webgpu.ts';
import { tf } from '../../trainer/tf.ts';
import { WEBGPU_PACKAGE } from '../support/trainer.ts';

const GPU = softwareGpu(false);
const TIMES = 8;

describe.skipIf(!GPU)('webgpu', () => {
  beforeAll(async () => {
    // Set before Dawn looks for its driver.
    Object.assign(process.env, GPU);
    const { startBackend } = await import('../../trainer/backends/start.ts');
    await startBackend('webgpu', { from: WEBGPU_PACKAGE, threads: 1 });
  });

  test('every kernel and gradient agrees with cpu', async () => {
    const errors: Record<string, number> = {};
    for (const [name, check] of Object.entries({ ...kernelChecks, ...replacedChecks })) {
      const error = await errorBetween(['cpu', 'webgpu'], check);
      if (!(error < 1e-4)) errors[name] = error;
    }
    expect(errors).toEqual({});
  });

  test('sums along a long axis are right in a moment, from both ends', async () => {
    for (const [exclusive, reverse] of [
      [false, false],
      [true, true],
    ]) {
      const check = { inputs: [input([2, 60_000])], run: (x: Tensor) => tf.cumsum(x, 1, exclusive, reverse) };
      expect(await errorBetween(['cpu', 'webgpu'], check as never)).toBeLessThan(1e-4);
    }
  });

  const repeated: Record<string, () => ReturnType<typeof tf.matMul>> = {
    'a product over a long inner dimension': () => tf.matMul(tensor([8, 4000]), tensor([4000, 24])),
    'a gradient of rows that were gathered again and again': () =>
      tf.grad((table) => tf.gather(table, tf.tensor1d(many(600), 'int32')))(tensor([7, 16]), tensor([600, 16])),
    'the same with indices that were computed': () =>
      tf.grad((table) => tf.gather(table, tf.cast(tf.tensor1d(many(600)), 'int32')))(
        tensor([7, 16]),
        tensor([600, 16]),
      ),
  };
  for (const [name, work] of Object.entries(repeated)) {
    test(`${name} has the same bits each time (upstream: others nearly each time)`, async () => {
      await tf.setBackend('webgpu');
      const seen = new Set<string>();
      for (let i = 0; i < TIMES; i++) {
        const result = tf.tidy(work);
        seen.add(Buffer.from((await result.data()).buffer).toString('base64'));
        result.dispose();
      }
      expect(seen.size).toBe(1);
    });
  }

  test('a synchronous read says what to write instead', async () => {
    await tf.setBackend('webgpu');
    const onDevice = tf.add(tensor([3]), 1);
    expect(() => onDevice.dataSync()).toThrow(/await tensor\.data\(\)/);
    expect(await onDevice.data()).toHaveLength(3);
  });

  test('what cannot be made deterministic is refused by name', async () => {
    await tf.setBackend('webgpu');
    const image = tensor([1, 5, 5, 1]) as never;
    const gradient = tf.grad((x) => tf.dilation2d(x as never, tensor([2, 2, 1]) as never, 1, 'same'));
    expect(() => gradient(image)).toThrow(/Dilation2DBackpropInput is not deterministic on webgpu/);
    expect(webgpuReplacements.map(({ name }) => name)).toContain('Dilation2DBackpropFilter');
  });
});

const inputs = new Map<string, ReturnType<typeof input>>();

/** Makes a tensor with the same numbers each time. */
function tensor(shape: number[]) {
  const key = shape.join();
  const made = inputs.get(key) ?? input(shape);
  inputs.set(key, made);
  return tf.tensor(made.values, shape) as never;
}

function many(count: number): number[] {
  return Array.from({ length: count }, (_, i) => (i * i) % 7);
}
