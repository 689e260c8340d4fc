/**
 * Checks of kernels and gradients: results on a backend are compared with those of the cpu backend, on the same
 * generated inputs.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import { ADAM_KERNEL, makeOptimizer } from '../optimizers.ts';
import { tf } from '../tf.ts';
import { input, type KernelCheck } from './check.ts';
import { LSTM_STEP, LSTM_STEP_GRADIENT } from './lstm.ts';
import { lstmCheck } from './lstm-checks.ts';

// biome-ignore lint/suspicious/noExplicitAny: the checks give plain tensors to functions that want a rank.
const t = tf as any;
const gradient = (f: (x: Tensor) => Tensor) => (x: Tensor, dy: Tensor) => tf.grad(f)(x, dy);

/** Makes a check of the gradient of a function of one tensor; `out` is the shape of its result. */
const gradientOf = (f: (x: Tensor) => Tensor, shape: number[], out: number[]): KernelCheck => ({
  inputs: [input(shape), input(out)],
  run: gradient(f),
});

/** Checks by the name of the replaced wasm kernel. */
export const replacedChecks: Record<string, KernelCheck> = {
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
  Conv2DBackpropInput: {
    inputs: [input([2, 13, 13, 5]), input([2, 7, 7, 8]), input([3, 3, 5, 8])],
    run: (x, dy, filter) => tf.grad((z) => t.conv2d(z, filter, 2, 'same'))(x!, dy!),
  },
  Tile: { inputs: [input([1, 1, 5, 3])], run: (x) => tf.tile(x!, [4, 3, 1, 1]) },
  Identity: { inputs: [input([7, 5])], run: (x) => tf.add(tf.clone(x!), x!) },
  [ADAM_KERNEL]: {
    inputs: [input([7, 5]), input([7, 5])],
    run(x, gradient) {
      const weights = tf.variable(x!);
      const optimizer = makeOptimizer({ name: 'adamw', learningRate: 0.01 }, new Map([['w', weights]]));
      for (const step of [1, 2, 3]) optimizer.apply(new Map([['w', gradient!]]), 0.01, step);
      const result = tf.mul(weights, 1);
      tf.dispose([weights, ...optimizer.slots.values()]);
      return result;
    },
  },
  [LSTM_STEP]: lstmCheck('hardSigmoid', true, [5, 3, 8]),
  [LSTM_STEP_GRADIENT]: lstmCheck('sigmoid', true, [5, 3, 8]),
  UnsortedSegmentSum: {
    inputs: [input([5, 300]), input([6, 300])],
    run: gradient((x) => tf.gather(x, tf.tensor1d([1, 1, 3, 0, 4, 4], 'int32'))),
  },
};

export const kernelChecks: Record<string, KernelCheck> = {
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
      } as KernelCheck,
    ]),
  ),
  'overlapping max pool': gradientOf((x) => t.maxPool(x, 3, 2, 'same'), [2, 13, 13, 4], [2, 7, 7, 4]),
  'max pool with windows that see padding only': gradientOf((x) => t.maxPool(x, 2, 2, 2), [1, 4, 4, 5], [1, 4, 4, 5]),
  'average pool': gradientOf((x) => t.avgPool(x, 2, 2, 'valid'), [2, 12, 12, 4], [2, 6, 6, 4]),
  'batch norm': gradientOf(
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
  'gather with repeated indices': gradientOf((x) => tf.gather(x, tf.tensor1d([1, 1, 3], 'int32')), [5, 4], [3, 4]),
  'gather with indices that were computed': gradientOf(
    (x) => tf.gather(x, tf.cast(tf.mul(tf.tensor1d([0.5, 0.5, 1.5]), 2), 'int32')),
    [5, 4],
    [3, 4],
  ),
  softmax: gradientOf((x) => tf.softmax(x), [4, 10], [4, 10]),
  'log softmax': gradientOf((x) => tf.logSoftmax(x), [4, 10], [4, 10]),
  // Several lengths: one program must not serve them all.
  ...Object.fromEntries(
    ([5, 37, 11] as const).flatMap((length) => [
      [`cumulative sum of ${length}`, gradientOf((x) => tf.cumsum(x, 1), [5, length], [5, length])],
      [
        `cumulative sum of ${length}, from the end, without its own`,
        { inputs: [input([3, length])], run: (x: Tensor) => tf.cumsum(x, 1, true, true) } as KernelCheck,
      ],
    ]),
  ),
  'cumulative sum over the first axis': { inputs: [input([9, 4, 3])], run: (x) => tf.cumsum(x!, 0) },
  'cumulative product': { inputs: [input([4, 12], 1)], run: (x) => tf.cumprod(x!, 1) },
  resize: gradientOf((x) => t.image.resizeBilinear(x as never, [8, 8]), [1, 4, 4, 2], [1, 8, 8, 2]),
  'sum of many tensors': {
    inputs: [input([20, 7])],
    run: (x) => tf.addN(tf.split(x!, 20)),
  },
  'many tensors in a row': {
    inputs: [input([20, 7])],
    run: (x) => tf.concat(tf.split(x!, 20), 1),
  },
  'product over a long inner dimension': {
    inputs: [input([4, 3000]), input([3000, 16])],
    run: (a, b) => t.matMul(a, b),
  },
  ...Object.fromEntries(
    (
      [
        [1, 1, 1],
        [3, 5, 7],
        [4, 8, 16],
        [67, 259, 300],
        [70, 9, 521],
      ] as const
    ).map(([m, n, k]) => [
      `product of ${m} × ${k} and ${k} × ${n}`,
      { inputs: [input([m, k]), input([k, n])], run: (a: Tensor, b: Tensor) => t.matMul(a, b) } as KernelCheck,
    ]),
  ),
  'product with one matrix for all': {
    inputs: [input([1, 6, 5]), input([4, 5, 9])],
    run: (a, b) => t.matMul(a, b),
  },
  'tiled along the last axis': { inputs: [input([3, 5])], run: (x) => tf.tile(x!, [2, 3]) },
  'sum of everything': { inputs: [input([13, 7, 31])], run: (x) => tf.sum(x!) },
  'mean over the last axis': { inputs: [input([3, 1023])], run: (x) => tf.mean(x!, -1) },
  'convolution, gradient of the input, padded, stride 2': {
    inputs: [input([2, 9, 11, 3]), input([2, 5, 6, 4]), input([5, 3, 3, 4])],
    run: (x, dy, filter) => tf.grad((z) => t.conv2d(z, filter, 2, 'same'))(x!, dy!),
  },
  'product, first transposed': {
    inputs: [input([3, 5, 4]), input([3, 4, 6]), input([3, 5, 6])],
    run: (a, dy, b) => tf.grad((x) => t.matMul(x, b, true, false))(a!, dy!),
  },
  'product, second transposed': {
    inputs: [input([3, 5, 4]), input([3, 5, 6]), input([3, 6, 4])],
    run: (a, dy, b) => tf.grad((x) => t.matMul(x, b, false, true))(a!, dy!),
  },
  // Widths that leave one, two and three of four lanes.
  ...Object.fromEntries(
    (['sigmoid', 'hardSigmoid'] as const).flatMap((gates) =>
      [1, 6, 7].flatMap((units) =>
        [true, false].map((useBias) => [
          `step of an LSTM of ${units} units, ${gates}, ${useBias ? 'with' : 'without'} bias`,
          lstmCheck(gates, useBias, [3, 2, units]),
        ]),
      ),
    ),
  ),
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
    ].map((name) => [`gradient of ${name}`, gradientOf((x) => t[name](x), [6, 7], [6, 7])]),
  ),
};
