/**
 * Three tiny models on made-up data. `killAt`: SIGKILL by its own hand when that step's batch is asked for, once, and
 * there is something in `inbox`. `holdAfter`: does so many steps, then waits for the file `go`, which may name a later
 * step to wait after, and which a pause or a stop makes too.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type * as tfTypes from '@tensorflow/tfjs-core';
import type { Context, Model, OptimizerSpec, Training } from '../../trainer/training.ts';

const SAMPLES = 60;
const BATCH = 10;

export default {
  params: {
    model: 'conv',
    optimizer: 'adam',
    learningRate: 0.01,
    epochs: 3,
    killAt: 0,
    marker: '',
    holdAfter: 0,
    go: '',
    inbox: '',
    slow: 0,
    dropout: 0.25,
    units: 12,
    failAt: 0,
    nanAt: 0,
    data: 1,
  },
  data({ params, tf }) {
    const random = generator(params.data);
    const pixels = params.model === 'conv' ? [10, 10, 1] : [8];
    const size = pixels.reduce((a, b) => a * b, 1);
    const x = new Float32Array(SAMPLES * size).map(() =>
      params.model === 'conv' ? random() : Math.floor(random() * 20),
    );
    const y = Int32Array.from({ length: SAMPLES }, (_, i) =>
      x[i * size]! > (params.model === 'conv' ? 0.5 : 10) ? 1 : 0,
    );
    let asked = 0;
    const take = (indices: Int32Array) => ({
      x: tf.tensor(
        gather(x, indices, size),
        [indices.length, ...pixels],
        params.model === 'conv' ? 'float32' : 'int32',
      ),
      y: tf.cast(
        tf.oneHot(
          tf.tensor1d(
            Array.from(indices, (i) => y[i]!),
            'int32',
          ),
          3,
        ),
        'float32',
      ),
    });
    return {
      train: {
        length: SAMPLES,
        async batch(indices) {
          if (indices.length === BATCH) asked++;
          if (params.slow > 0) await new Promise((resolve) => setTimeout(resolve, params.slow));
          if (params.killAt > 0 && asked === params.killAt && !existsSync(params.marker)) {
            while (params.inbox && readdirSync(params.inbox).every((name) => name.startsWith('.')))
              await new Promise((resolve) => setTimeout(resolve, 5));
            writeFileSync(params.marker, '');
            process.kill(process.pid, 'SIGKILL');
          }
          while (params.holdAfter > 0 && asked > heldAfter(params.holdAfter, params.go)) {
            if (isToldToEnd()) writeFileSync(params.go, 'null');
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
          if (params.failAt > 0 && asked === params.failAt) throw 'not even an Error';
          return tf.tidy(() => take(indices));
        },
      },
      validation: { length: 20, batch: (indices) => tf.tidy(() => take(indices)) },
    };
  },
  model: (context) => models[context.params.model]!(context),
  optimizer: ({ params }) => ({ name: params.optimizer, learningRate: params.learningRate }) as OptimizerSpec,
  loss(target, prediction, { params, tf }) {
    const loss = tf.mean(tf.neg(tf.sum(tf.mul(target, tf.logSoftmax(prediction)), -1))) as tfTypes.Scalar;
    return params.nanAt > 0 && ++lossCalls >= params.nanAt ? tf.mul(loss, Number.NaN) : loss;
  },
  metrics: { accuracy: 'accuracy' },
  schedule: { name: 'cosine', warmup: 4 },
  clipNorm: 1,
  epochs: ({ params }) => params.epochs,
  batchSize: BATCH,
} satisfies Training;

let lossCalls = 0;

/** Returns the step that a held training does not go beyond for now. */
function heldAfter(holdAfter: number, go: string): number {
  if (!existsSync(go)) return holdAfter;
  return JSON.parse(readFileSync(go, 'utf8')) ?? Number.POSITIVE_INFINITY;
}

/** Tells whether this process's session has a request to pause or to stop. */
function isToldToEnd(): boolean {
  const control = join(process.argv[2]!, 'control');
  return existsSync(control) && /"(pause|stop)":\s*true/.test(readFileSync(control, 'utf8'));
}

const models: Record<string, (context: Context) => Model> = {
  conv({ params, layers: tfl }) {
    const model = tfl.sequential();
    model.add(tfl.layers.conv2d({ filters: 4, kernelSize: 3, activation: 'relu', inputShape: [10, 10, 1] }));
    model.add(tfl.layers.batchNormalization());
    model.add(tfl.layers.maxPooling2d({ poolSize: 2 }));
    model.add(tfl.layers.dropout({ rate: params.dropout }));
    model.add(tfl.layers.flatten());
    model.add(tfl.layers.dense({ units: params.units, activation: 'relu' }));
    model.add(tfl.layers.dropout({ rate: params.dropout }));
    model.add(tfl.layers.dense({ units: 3 }));
    return model;
  },
  lstm({ params, layers: tfl }) {
    const model = tfl.sequential();
    model.add(tfl.layers.embedding({ inputDim: 20, outputDim: 6, inputLength: 8 }));
    model.add(tfl.layers.dropout({ rate: params.dropout }));
    // The default, orthogonal, needs a QR decomposition that takes seconds on wasm.
    model.add(tfl.layers.lstm({ units: params.units, recurrentInitializer: 'glorotUniform' }));
    model.add(tfl.layers.dense({ units: 3 }));
    return model;
  },
  transformer: (context) => transformer(context),
};

/** Builds one block with plain variables: attention, dropout by Math.random, layer norm. */
function transformer({ tf, params }: Context): Model {
  const [width, length, heads] = [8, 8, 2];
  const make = (name: string, shape: number[]) => [name, tf.variable(tf.randomNormal(shape, 0, 0.2))] as const;
  const variables = Object.fromEntries([
    make('embedding', [20, width]),
    make('position', [length, width]),
    ...['q', 'k', 'v', 'o'].map((name) => make(`attention/${name}`, [width, width])),
    make('feedForward', [width, width]),
    make('head', [width, 3]),
  ]);
  const v = (name: string) => variables[name]!;
  const norm = (x: tfTypes.Tensor) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)));
  };
  const dense = (x: tfTypes.Tensor, w: tfTypes.Tensor, batch: number) =>
    tf.reshape(tf.matMul(tf.reshape(x, [batch * length, width]), w as tfTypes.Tensor2D), [batch, length, width]);
  return {
    variables,
    predict(ids: tfTypes.Tensor, training: boolean) {
      const batch = ids.shape[0]!;
      let x: tfTypes.Tensor = tf.add(tf.gather(v('embedding'), tf.cast(ids, 'int32')), v('position'));
      if (training) x = tf.dropout(x, params.dropout);
      const split = (name: string) =>
        tf.transpose(
          tf.reshape(dense(norm(x), v(`attention/${name}`), batch), [batch, length, heads, width / heads]),
          [0, 2, 1, 3],
        );
      const weights = tf.softmax(tf.mul(tf.matMul(split('q'), split('k'), false, true), 1 / Math.sqrt(width / heads)));
      const mixed = tf.reshape(tf.transpose(tf.matMul(weights, split('v')), [0, 2, 1, 3]), [batch, length, width]);
      x = tf.add(x, dense(mixed, v('attention/o'), batch));
      x = tf.add(x, tf.relu(dense(norm(x), v('feedForward'), batch)));
      return tf.matMul(tf.mean(x, 1) as tfTypes.Tensor2D, v('head') as tfTypes.Tensor2D);
    },
  };
}

function gather(values: Float32Array, indices: Int32Array, size: number): Float32Array {
  const out = new Float32Array(indices.length * size);
  for (const [i, index] of indices.entries()) out.set(values.subarray(index * size, (index + 1) * size), i * size);
  return out;
}

function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
