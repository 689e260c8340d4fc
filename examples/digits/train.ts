import type { Training } from 'trainstash';
import { loadDigits } from './data.ts';

export default {
  params: { learningRate: 0.001, epochs: 3, batchSize: 64, filters: 8, dropout: 0.25 },

  async data({ tf }) {
    const { train, test } = await loadDigits();
    const source = ({ images, labels }: typeof train, shuffle: boolean) => ({
      length: labels.length,
      shuffle,
      batch: (indices: Int32Array) => ({
        x: tf.tensor4d(images.pick(indices), [indices.length, 28, 28, 1]),
        y: tf.tensor1d(
          Array.from(indices, (i) => labels[i]!),
          'int32',
        ),
      }),
    });
    return { train: source(train, true), validation: source(test, false) };
  },

  model({ layers: { layers, sequential }, params }) {
    return sequential({
      layers: [
        layers.conv2d({ filters: params.filters, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.conv2d({ filters: params.filters * 2, kernelSize: 3, useBias: false }),
        layers.batchNormalization(),
        layers.reLU(),
        layers.maxPooling2d({ poolSize: 2 }),
        layers.flatten(),
        layers.dropout({ rate: params.dropout }),
        layers.dense({ units: 10 }),
      ],
    });
  },

  optimizer: ({ params }) => ({ name: 'adamw', learningRate: params.learningRate }),
  loss: 'sparseSoftmaxCrossEntropy',
  metrics: { accuracy: 'sparseAccuracy' },
  schedule: { name: 'cosine', warmup: 30 },
  clipNorm: 1,
  best: 'max:val_accuracy',
  epochs: ({ params }) => params.epochs,
  batchSize: ({ params }) => params.batchSize,
} satisfies Training;
