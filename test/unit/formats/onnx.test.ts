/** Layers models as ONNX: run by onnxruntime and checked by Debian's checker, against TensorFlow.js's own outputs. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { SymbolicTensor } from '@tensorflow/tfjs-layers';
import * as ort from 'onnxruntime-web';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Topology, toOnnx } from '../../../formats/onnx/convert.ts';
import { layerWeights } from '../../../trainer/model.ts';
import { Random } from '../../../trainer/random.ts';
import { layers, tf } from '../../../trainer/tf.ts';
import { PYTHON, script } from '../../support/python.ts';

const random = Random.seeded(4);
type Model = ReturnType<typeof layers.model>;
type Layer = Parameters<ReturnType<typeof layers.sequential>['add']>[0];
const l = layers.layers;

let folder = '';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trainstash-test-'));
  await tf.setBackend('cpu');
});
afterAll(() => rmSync(folder, { recursive: true }));

async function encode(model: Model): Promise<Buffer> {
  const weights = await layerWeights(model);
  return toOnnx(model.toJSON(null, false) as unknown as Topology, (path) => weights.get(path) ?? {}, {}).bytes();
}

/** Sets weights that differ from the initial ones: zeros and ones hide mistakes. */
function shake(model: Model): void {
  for (const weight of model.weights) {
    const tensor = weight.read();
    const isVariance = weight.originalName.endsWith('variance');
    const values = Float32Array.from({ length: tensor.size }, () => random.float() - (isVariance ? -0.5 : 0.5));
    weight.write(tf.tensor(values, tensor.shape));
  }
}

function sequential(shape: number[], ...list: Layer[]): Model {
  const model = layers.sequential();
  model.add(l.inputLayer({ inputShape: shape }) as unknown as Layer);
  for (const layer of list) model.add(layer);
  return model as unknown as Model;
}

function inputOf(shape: readonly (number | null)[], whole: number): Tensor {
  const size = [3, ...shape.slice(1)].map((one) => one ?? 6);
  const count = size.reduce((a, b) => a * b, 1);
  const values = Float32Array.from({ length: count }, () =>
    whole > 0 ? Math.floor(random.float() * whole) : 4 * random.float() - 2,
  );
  return tf.tensor(values, size) as Tensor;
}

/** Returns the largest error relative to the largest value, over all outputs. */
async function errorOf(model: Model, whole = 0): Promise<number> {
  shake(model);
  const inputs = model.inputs.map(({ shape }) => inputOf(shape, whole));
  const ours = [model.predict(inputs)].flat() as Tensor[];
  const bytes = await encode(model);
  check(bytes);
  const session = await ort.InferenceSession.create(bytes);
  const feeds = session.inputNames.map((name, i) => {
    const data = Float32Array.from(inputs[i]!.dataSync());
    return [name, new ort.Tensor('float32', data, inputs[i]!.shape)] as const;
  });
  const outputs = await session.run(Object.fromEntries(feeds));
  let [error, largest] = [0, 1e-6];
  for (const [i, name] of session.outputNames.entries()) {
    const theirs = outputs[name]!;
    expect(theirs.dims).toEqual(ours[i]!.shape);
    const [a, b] = [ours[i]!.dataSync(), theirs.data as Float32Array];
    for (let k = 0; k < a.length; k++) {
      error = Math.max(error, Math.abs(a[k]! - b[k]!));
      largest = Math.max(largest, Math.abs(a[k]!));
    }
  }
  await session.release();
  return error / largest;
}

const hasChecker = PYTHON !== '' && spawnSync(PYTHON, ['-c', 'import onnx']).status === 0;
if (!hasChecker) console.warn('NOT RUN: ONNX files are not checked by Debian’s python3-onnx, which is not installed');
const written: string[] = [];
/** Checks all files together at the end: Python takes a second to start. */
function check(bytes: Buffer): void {
  if (!hasChecker) return;
  const path = join(folder, `${written.length}.onnx`);
  writeFileSync(path, bytes);
  written.push(path);
}

const image = [9, 8, 3];
const ACTIVATIONS = [
  'elu',
  'hardSigmoid',
  'linear',
  'relu',
  'relu6',
  'selu',
  'sigmoid',
  'softmax',
  'softplus',
  'softsign',
  'tanh',
  'swish',
  'mish',
  'gelu',
  'gelu_new',
] as const;

const MODELS: Record<string, () => Model> = {
  'dense, with and without bias, on vectors and sequences': () =>
    sequential([5, 4], l.dense({ units: 7, activation: 'relu' }), l.flatten(), l.dense({ units: 3, useBias: false })),
  'conv1d valid': () => sequential([12, 3], l.conv1d({ filters: 4, kernelSize: 3 })),
  'conv1d same, strides': () =>
    sequential([12, 3], l.conv1d({ filters: 4, kernelSize: 4, padding: 'same', strides: 3 })),
  'conv2d valid': () => sequential(image, l.conv2d({ filters: 5, kernelSize: [3, 2], activation: 'tanh' })),
  'conv2d same, odd strides': () =>
    sequential(image, l.conv2d({ filters: 5, kernelSize: 4, padding: 'same', strides: [2, 3], useBias: false })),
  'conv2d same, dilated': () =>
    sequential(image, l.conv2d({ filters: 5, kernelSize: 3, padding: 'same', dilationRate: 2 })),
  depthwise: () =>
    sequential(image, l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same', strides: 2 })),
  separable: () =>
    sequential(image, l.separableConv2d({ filters: 6, kernelSize: [2, 3], depthMultiplier: 3, activation: 'relu' })),
  'transpose same': () =>
    sequential(image, l.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', activation: 'elu' })),
  'transpose same, even kernel': () =>
    sequential(image, l.conv2dTranspose({ filters: 4, kernelSize: [4, 2], strides: [3, 1], padding: 'same' })),
  'transpose valid': () => sequential(image, l.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2 })),
  'transpose, stride above kernel': () =>
    sequential(image, l.conv2dTranspose({ filters: 2, kernelSize: 2, strides: 3, padding: 'valid' })),
  'max pooling': () => sequential(image, l.maxPooling2d({ poolSize: [3, 2], padding: 'same', strides: 2 })),
  'average pooling, same': () => sequential(image, l.averagePooling2d({ poolSize: 3, padding: 'same', strides: 2 })),
  'pooling in one dimension': () =>
    sequential(
      [11, 4],
      l.maxPooling1d({ poolSize: 2 }),
      l.averagePooling1d({ poolSize: 3, strides: 1, padding: 'same' }),
    ),
  'global average': () => sequential(image, l.globalAveragePooling2d({})),
  'global max': () => sequential(image, l.globalMaxPooling2d({})),
  'global in one dimension': () => sequential([6, 4], l.globalAveragePooling1d()),
  'batch normalization after a convolution': () =>
    sequential(
      image,
      l.conv2d({ filters: 4, kernelSize: 3, useBias: false }),
      l.batchNormalization(),
      l.activation({ activation: 'relu' }),
      l.conv2d({ filters: 3, kernelSize: 2 }),
    ),
  'batch normalization without scale or centre': () =>
    sequential([6, 5], l.batchNormalization({ scale: false }), l.batchNormalization({ axis: 2, center: false })),
  'layer normalization': () =>
    sequential([6, 5], l.layerNormalization({}), l.layerNormalization({ center: false, epsilon: 1e-5 })),
  'activation layers': () =>
    sequential(
      [6, 5],
      l.leakyReLU({ alpha: 0.2 }),
      l.elu({}),
      l.prelu({}),
      l.reLU({ maxValue: 1.5 }),
      l.thresholdedReLU({ theta: 0.3 }),
      l.softmax({ axis: -1 }),
    ),
  'dropout and noise, which only a training has': () =>
    sequential(
      [6],
      l.dropout({ rate: 0.5 }),
      l.gaussianNoise({ stddev: 1 }),
      l.gaussianDropout({ rate: 0.3 }),
      l.dense({ units: 2 }),
    ),
  'reshape, permute, zero padding': () =>
    sequential(
      [24],
      l.reshape({ targetShape: [4, 3, -1] }),
      l.permute({ dims: [2, 1, 3] }),
      l.zeroPadding2d({
        padding: [
          [1, 0],
          [2, 1],
        ],
      }),
    ),
  'branches: add, concatenate, multiply, average, maximum, minimum': () => {
    const input = layers.input({ shape: [6, 6, 2] });
    const conv = () => l.conv2d({ filters: 4, kernelSize: 3, padding: 'same' }).apply(input) as SymbolicTensor;
    const [a, b, c] = [conv(), conv(), conv()];
    const parts = [
      l.add().apply([a, b, c]),
      l.multiply().apply([a, b, c]),
      l.average().apply([a, b]),
      l.maximum().apply([b, c]),
      l.minimum().apply([a, c]),
    ] as SymbolicTensor[];
    const output = l.concatenate({ axis: -1 }).apply(parts) as SymbolicTensor;
    return layers.model({ inputs: input, outputs: l.globalAveragePooling2d({}).apply(output) as SymbolicTensor });
  },
  'two inputs, two outputs, a layer used twice': () => {
    const [a, b] = [layers.input({ shape: [4] }), layers.input({ shape: [4] })];
    const shared = l.dense({ units: 3, activation: 'sigmoid' });
    const [x, y] = [shared.apply(a), shared.apply(b)] as SymbolicTensor[];
    return layers.model({ inputs: [a, b], outputs: [l.concatenate().apply([x!, y!]) as SymbolicTensor, y!] });
  },
  'models inside models': () => {
    const inner = sequential(
      [5],
      l.dense({ units: 4 }),
      sequential([4], l.dense({ units: 6, activation: 'relu' })) as unknown as Layer,
    );
    const input = layers.input({ shape: [5] });
    const x = (inner as unknown as Layer).apply(input) as SymbolicTensor;
    return layers.model({ inputs: input, outputs: l.dense({ units: 2 }).apply(x) as SymbolicTensor });
  },
};

describe('a layers model as ONNX gives what it gives itself', () => {
  for (const [name, make] of Object.entries(MODELS))
    test(name, async () => {
      expect(await errorOf(make())).toBeLessThan(2e-6);
    });

  for (const activation of ACTIVATIONS)
    test(`activation ${activation}`, async () => {
      expect(await errorOf(sequential([6, 5], l.activation({ activation })))).toBeLessThan(2e-6);
    });

  test('embedding of whole numbers', async () => {
    const model = sequential([7], l.embedding({ inputDim: 20, outputDim: 6 }), l.flatten(), l.dense({ units: 3 }));
    expect(await errorOf(model, 20)).toBeLessThan(2e-6);
  });

  test('sizes that are not fixed stay open', async () => {
    const input = layers.input({ shape: [null, null, 2] });
    const x = l.conv2d({ filters: 3, kernelSize: 3, padding: 'same' }).apply(input) as SymbolicTensor;
    const output = l.globalMaxPooling2d({}).apply(x) as SymbolicTensor;
    expect(await errorOf(layers.model({ inputs: input, outputs: output }))).toBeLessThan(2e-6);
  });

  test('everything that the ONNX export does not support is named at once', async () => {
    const model = sequential(
      [6, 4],
      l.lstm({ units: 3, returnSequences: true }),
      l.dense({ units: 2 }),
      l.repeatVector({ n: 1 }) && l.gru({ units: 2 }),
    );
    await expect(encode(model)).rejects.toThrow(/LSTM \("lstm_\w+"\), GRU \("gru_\w+"\)/);
    await expect(encode(sequential([6], l.embedding({ inputDim: 3, outputDim: 2, maskZero: true })))).rejects.toThrow(
      /mask/,
    );
    await expect(
      encode(sequential([3, 6, 6], l.conv2d({ filters: 2, kernelSize: 3, dataFormat: 'channelsFirst' }))),
    ).rejects.toThrow(/channels first/);
    await expect(encode(sequential([6, 5], l.batchNormalization({ axis: 1 })))).rejects.toThrow(
      /another axis than the last/,
    );
  });

  test.skipIf(!hasChecker)('Debian’s checker accepts all of these files, including shapes', () => {
    expect(written.length).toBeGreaterThan(40);
    const checked = spawnSync(PYTHON, ['-W', 'ignore', script('exports.py'), 'read', ...written], { encoding: 'utf8' });
    expect(checked.stderr).toBe('');
    expect(checked.status).toBe(0);
  });
});
