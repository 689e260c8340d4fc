/** The same model and data for both sides of `trainer.overhead`. */
import type * as tfTypes from '@tensorflow/tfjs-core';
import type * as layersTypes from '@tensorflow/tfjs-layers';

export function makeDigitsLikeModel({ sequential, layers }: typeof layersTypes) {
  return sequential({
    layers: [
      layers.conv2d({ filters: 8, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu' }),
      layers.maxPooling2d({ poolSize: 2 }),
      layers.flatten(),
      layers.dropout({ rate: 0.25 }),
      layers.dense({ units: 64, activation: 'relu' }),
      layers.dense({ units: 10 }),
    ],
  });
}

export function syntheticDigits(tf: typeof tfTypes) {
  const length = 4096;
  const size = 28 * 28;
  const pixels = Float32Array.from({ length: length * size }, (_, i) => ((i * 2654435761) % 1000) / 1000);
  return {
    length,
    batch(indices: Int32Array) {
      const picked = new Float32Array(indices.length * size);
      for (const [i, index] of indices.entries())
        picked.set(pixels.subarray(index * size, (index + 1) * size), i * size);
      return {
        x: tf.tensor4d(picked, [indices.length, 28, 28, 1]),
        y: tf.tensor1d(
          Int32Array.from(indices, (i) => i % 10),
          'int32',
        ),
      };
    },
  };
}
