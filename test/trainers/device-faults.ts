/** A dense net that makes a GPU fail at a step, once there is something in `inbox`: `lost`, `invalid`, or with a tensor that is too large (`tensor`, `weights`). */
import { readdirSync } from 'node:fs';
import type * as tfTypes from '@tensorflow/tfjs-core';
import type { Training } from '../../trainer/training.ts';

interface Device {
  destroy(): void;
  createBuffer(descriptor: { size: number; usage: number }): void;
}

const LARGE = [40_000, 8_000];
let steps = 0;

export default {
  params: { fault: 'lost', at: 6, inbox: '' },
  data: ({ tf, params }) => ({
    train: {
      length: 64,
      async batch(indices) {
        while (
          steps + 1 === params.at &&
          params.inbox &&
          readdirSync(params.inbox).every((name) => name.startsWith('.'))
        )
          await new Promise((resolve) => setTimeout(resolve, 5));
        return { x: tf.randomNormal([indices.length, 4]), y: tf.randomNormal([indices.length, 1]) };
      },
    },
  }),
  model({ tf, params }) {
    const weights = tf.variable(tf.randomNormal([4, 1]));
    // Zeros take no memory until they are read.
    const variables: Record<string, ReturnType<typeof tf.variable>> = { weights };
    if (params.fault === 'weights') variables.large = tf.variable(tf.zeros(LARGE));
    return {
      variables,
      predict(x: tfTypes.Tensor) {
        if (++steps === params.at) fail(params.fault, tf);
        return tf.matMul(x as never, weights as never);
      },
    };
  },
  optimizer: () => ({ name: 'sgd', learningRate: 0.01 }),
  loss: 'meanSquaredError',
  epochs: 4,
  batchSize: 8,
} satisfies Training;

function fail(fault: string, tf: typeof tfTypes): void {
  const { device } = tf.backend() as unknown as { device: Device };
  if (fault === 'lost') device.destroy();
  if (fault === 'invalid') device.createBuffer({ size: 16, usage: 0xffff });
  if (fault === 'tensor') tf.fill(LARGE, 1).dispose();
}
