/** wasm against cpu, kernel by kernel; and for each replacement, that upstream's kernel fails the same check. */

import type { Tensor } from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, test } from 'vitest';
import { installWasmKernels, replacements } from '../../daemon/trainer/kernels/wasm.ts';
import { Random } from '../../daemon/trainer/random.ts';
import { tf, tfDirectory, wasm } from '../../daemon/trainer/tf.ts';

const random = Random.seeded(9);
type Input = { values: Float32Array; shape: number[] };

function input(shape: number[], shift = 0): Input {
  const size = shape.reduce((a, b) => a * b, 1);
  return { shape, values: Float32Array.from({ length: size }, () => random.float() - 0.5 + shift) };
}

interface Check {
  inputs: Input[];
  run(...tensors: Tensor[]): Tensor;
}

/** Largest error over largest value. */
async function errorOf({ inputs, run }: Check): Promise<number> {
  const results: Float32Array[] = [];
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend);
    const output = tf.tidy(() => run(...inputs.map(({ values, shape }) => tf.tensor(values, shape))));
    results.push((await output.data()) as Float32Array);
    output.dispose();
  }
  const [cpu, own] = results as [Float32Array, Float32Array];
  expect(own.length).toBe(cpu.length);
  let error = 0;
  let largest = 0;
  for (let i = 0; i < cpu.length; i++) {
    error = Math.max(error, Math.abs(cpu[i]! - own[i]!));
    largest = Math.max(largest, Math.abs(cpu[i]!));
  }
  return largest === 0 ? error : error / largest;
}

// biome-ignore lint/suspicious/noExplicitAny: the checks give plain tensors to functions that want a rank.
const t = tf as any;
const gradient = (f: (x: Tensor) => Tensor) => (x: Tensor, dy: Tensor) => tf.grad(f)(x, dy);

const replaced: Record<string, Check> = {
  MaxPoolGrad: {
    inputs: [input([2, 12, 12, 4], -3), input([2, 6, 6, 4])],
    run: gradient((x) => t.maxPool(x, 2, 2, 'valid')),
  },
  Conv3DBackpropInputV2: {
    inputs: [input([1, 4, 4, 4, 2]), input([1, 4, 4, 4, 3]), input([2, 2, 2, 2, 3])],
    run: (x, dy, filter) => tf.grad((z) => t.conv3d(z, filter, 1, 'same'))(x!, dy!),
  },
  MaxPool3DGrad: {
    inputs: [input([1, 4, 4, 4, 2], -3), input([1, 2, 2, 2, 2])],
    run: gradient((x) => t.maxPool3d(x, 2, 2, 'valid')),
  },
  Sum: { inputs: [input([43_264, 4], 0.5)], run: (x) => tf.sum(x!, 0) },
  Mean: { inputs: [input([43_264, 4], 0.5)], run: (x) => tf.mean(x!, 0) },
  BatchMatMul: { inputs: [input([3, 40, 30]), input([3, 40, 50])], run: (a, b) => t.matMul(a, b, true, false) },
  Conv2DBackpropFilter: {
    inputs: [input([3, 3, 4, 8]), input([2, 7, 7, 8]), input([2, 13, 13, 4])],
    run: (filter, dy, x) => tf.grad((f) => t.conv2d(x, f, 2, 'same'))(filter!, dy!),
  },
  UnsortedSegmentSum: {
    inputs: [input([5, 300]), input([6, 300])],
    run: gradient((x) => tf.gather(x, tf.tensor1d([1, 1, 3, 0, 4, 4], 'int32'))),
  },
};

/** Upstream is right for this one, but slow: it has a test of its own. */
const SLOW = 'BatchMatMul';

beforeAll(async () => {
  wasm.setWasmPaths(`${tfDirectory}/tf/`);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await tf.setBackend('wasm');
});

describe('upstream’s kernels are missing, wrong or imprecise where ours are put in their place', () => {
  for (const [name, check] of Object.entries(replaced)) {
    if (name === SLOW) continue;
    test(name, async () => {
      const error = await errorOf(check).catch(() => Number.POSITIVE_INFINITY);
      expect(error).toBeGreaterThan(name === 'Sum' || name === 'Mean' ? 1e-6 : 1e-2);
    });
  }
});

describe('with our kernels', () => {
  beforeAll(() => installWasmKernels());

  test('every replacement has a check', () => {
    expect(replacements.map(({ name }) => name).sort()).toEqual(Object.keys(replaced).sort());
  });

  for (const [name, check] of Object.entries(replaced)) {
    test(`${name} agrees with cpu`, async () =>
      expect(await errorOf(check)).toBeLessThan(name === 'Sum' || name === 'Mean' ? 3e-7 : 1e-5));
  }

  test('a product with a transpose flag is not much slower than one without', async () => {
    await tf.setBackend('wasm');
    const a = tf.randomNormal([384, 384]);
    const fastest = (transposed: boolean) => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 5; i++) {
        const started = performance.now();
        t.matMul(a, a, transposed, false).dispose();
        best = Math.min(best, performance.now() - started);
      }
      return best;
    };
    // Upstream: 20 times. The margin is for busy machines.
    expect(fastest(true) / fastest(false)).toBeLessThan(8);
  });

  const pool = (f: (x: Tensor) => Tensor, shape: number[], out: number[]): Check => ({
    inputs: [input(shape), input(out)],
    run: gradient(f),
  });
  const agreeing: Record<string, Check> = {
    'convolution, gradient of the input': {
      inputs: [input([2, 13, 13, 16]), input([2, 11, 11, 8]), input([3, 3, 16, 8])],
      run: (x, dy, filter) => tf.grad((z) => t.conv2d(z, filter, 1, 'valid'))(x!, dy!),
    },
    ...Object.fromEntries(
      (
        [
          [3, 1, 'valid', 11],
          [3, 1, 'same', 13],
          [3, 2, 'same', 7],
          [1, 1, 'valid', 13],
          [5, 1, 'valid', 9],
          [2, 2, 'valid', 6],
        ] as const
      ).map(([size, stride, pad, out]) => [
        `convolution, gradient of a ${size}×${size} filter, stride ${stride}, ${pad}`,
        {
          inputs: [input([size, size, 4, 6]), input([2, out, out, 6]), input([2, 13, 13, 4])],
          run: (filter: Tensor, dy: Tensor, x: Tensor) => tf.grad((f) => t.conv2d(x, f, stride, pad))(filter, dy),
        } as Check,
      ]),
    ),
    'overlapping max pool': pool((x) => t.maxPool(x, 3, 2, 'same'), [2, 13, 13, 4], [2, 7, 7, 4]),
    'average pool': pool((x) => t.avgPool(x, 2, 2, 'valid'), [2, 12, 12, 4], [2, 6, 6, 4]),
    'batch norm': pool(
      (x) => {
        const { mean, variance } = tf.moments(x, [0, 1, 2]);
        return t.batchNorm(x, mean, variance, tf.zeros([8]), tf.ones([8]), 1e-3);
      },
      [4, 6, 6, 8],
      [4, 6, 6, 8],
    ),
    'depthwise, gradient of the input': {
      inputs: [input([2, 8, 8, 3]), input([2, 8, 8, 6]), input([3, 3, 3, 2])],
      run: (x, dy, filter) => tf.grad((z) => t.depthwiseConv2d(z, filter, 1, 'same'))(x!, dy!),
    },
    'depthwise, gradient of the filter': {
      inputs: [input([3, 3, 3, 2]), input([2, 8, 8, 6]), input([2, 8, 8, 3])],
      run: (filter, dy, x) => tf.grad((f) => t.depthwiseConv2d(x, f, 1, 'same'))(filter!, dy!),
    },
    'transposed convolution': {
      inputs: [input([2, 6, 6, 8]), input([3, 3, 4, 8])],
      run: (x, filter) => t.conv2dTranspose(x, filter, [2, 12, 12, 4], 2, 'same'),
    },
    'gather with repeated indices': pool((x) => tf.gather(x, tf.tensor1d([1, 1, 3], 'int32')), [5, 4], [3, 4]),
    softmax: pool((x) => tf.softmax(x), [4, 10], [4, 10]),
    'log softmax': pool((x) => tf.logSoftmax(x), [4, 10], [4, 10]),
    'cumulative sum': pool((x) => tf.cumsum(x, 1), [5, 9], [5, 9]),
    resize: pool((x) => t.image.resizeBilinear(x as never, [8, 8]), [1, 4, 4, 2], [1, 8, 8, 2]),
    'product, first transposed': {
      inputs: [input([3, 5, 4]), input([3, 4, 6]), input([3, 5, 6])],
      run: (a, dy, b) => tf.grad((x) => t.matMul(x, b, true, false))(a!, dy!),
    },
    'product, second transposed': {
      inputs: [input([3, 5, 4]), input([3, 5, 6]), input([3, 6, 4])],
      run: (a, dy, b) => tf.grad((x) => t.matMul(x, b, false, true))(a!, dy!),
    },
    'sum over the middle': { inputs: [input([7, 600, 5])], run: (x) => tf.sum(x!, 1) },
    moments: { inputs: [input([8, 16, 16, 8])], run: (x) => tf.moments(x!, [0, 1, 2]).variance },
    ...Object.fromEntries(
      [
        'relu',
        'sigmoid',
        'tanh',
        'elu',
        'selu',
        'softplus',
        'exp',
        'square',
        'abs',
        'erf',
        'leakyRelu',
        'sin',
        'cos',
      ].map((name) => [`gradient of ${name}`, pool((x) => t[name](x), [6, 7], [6, 7])]),
    ),
  };
  for (const [name, check] of Object.entries(agreeing))
    test(`${name} agrees with cpu`, async () => expect(await errorOf(check)).toBeLessThan(2e-5));
});
