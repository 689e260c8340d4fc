/** A dense net with dropout that records, at the given steps, the memory in use after a full collection. */
import { appendFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { Training } from '../../trainer/training.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
let asked = 0;

export default {
  params: { file: '', at: [300, 700], epochs: 71 },
  data: ({ tf, params }) => ({
    train: {
      length: 80,
      async batch(indices) {
        if (params.at.includes(asked++)) {
          // Memory of native objects is freed one turn after they were collected.
          for (let i = 0; i < 3; i++) {
            collect();
            await new Promise((resolve) => setImmediate(resolve));
          }
          const { rss, heapUsed } = process.memoryUsage();
          const memory = tf.memory() as ReturnType<typeof tf.memory> & { numBytesInGPU?: number };
          const { numTensors, numBytesInGPU = 0 } = memory;
          appendFileSync(params.file, `${JSON.stringify({ numTensors, numBytesInGPU, heapUsed, rss })}\n`);
        }
        return { x: tf.randomNormal([indices.length, 8]), y: tf.randomNormal([indices.length, 1]) };
      },
    },
  }),
  model({ layers: tfl }) {
    const model = tfl.sequential();
    model.add(tfl.layers.dense({ units: 32, activation: 'tanh', inputShape: [8] }));
    model.add(tfl.layers.dropout({ rate: 0.2 }));
    model.add(tfl.layers.dense({ units: 1 }));
    return model;
  },
  optimizer: () => ({ name: 'adam', learningRate: 0.001 }),
  loss: 'meanSquaredError',
  clipNorm: 1,
  epochs: ({ params }) => params.epochs,
  batchSize: 8,
} satisfies Training;
