/** Models whose steps are timed on each backend; `backend_models.py` has the same for PyTorch. */
import type { Tensor, Tensor2D, Tensor3D, Variable } from '@tensorflow/tfjs-core';
import { losses } from '../trainer/losses.ts';
import { makeOptimizer } from '../trainer/optimizers.ts';
import { tf, layers as tfl } from '../trainer/tf.ts';

export const MODELS = ['mlp', 'conv', 'lstm', 'transformer'] as const;
export type ModelName = (typeof MODELS)[number];

type Variables = Record<string, Variable>;

interface Built {
  variables: Variables;
  x: Tensor;
  y: Tensor;
  predict(x: Tensor): Tensor;
}

const BUILD: Record<ModelName, () => Built> = {
  mlp: () =>
    layered(
      tf.randomNormal([128, 784]),
      tfl.layers.dense({ units: 512, activation: 'relu', inputShape: [784] }),
      tfl.layers.dense({ units: 10 }),
    ),
  conv: () =>
    layered(
      tf.randomNormal([64, 28, 28, 1]),
      tfl.layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }),
      tfl.layers.batchNormalization(),
      tfl.layers.maxPooling2d({ poolSize: 2 }),
      tfl.layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu' }),
      tfl.layers.maxPooling2d({ poolSize: 2 }),
      tfl.layers.flatten(),
      tfl.layers.dropout({ rate: 0.25 }),
      tfl.layers.dense({ units: 10 }),
    ),
  lstm: () =>
    layered(
      tf.randomUniform([32, 24], 0, 1000, 'int32'),
      tfl.layers.embedding({ inputDim: 1000, outputDim: 64, inputLength: 24 }),
      tfl.layers.lstm({ units: 64, recurrentInitializer: 'glorotUniform' }),
      tfl.layers.dense({ units: 10 }),
    ),
  transformer,
};

export interface Stepper {
  /** Takes one step of Adam and reads the loss, as the trainer does. */
  step(): Promise<number>;
}

export function stepper(name: ModelName): Stepper {
  const { variables, x, y, predict } = BUILD[name]();
  const trainable = new Map(Object.entries(variables));
  const optimizer = makeOptimizer({ name: 'adam', learningRate: 1e-3 }, trainable);
  const names = new Map([...trainable].map(([key, variable]) => [variable.name, key]));
  let steps = 0;
  return {
    async step() {
      const { value, grads } = tf.variableGrads(
        () => losses.sparseSoftmaxCrossEntropy!(y, predict(x)),
        [...trainable.values()],
      );
      optimizer.apply(new Map(Object.entries(grads).map(([key, grad]) => [names.get(key)!, grad])), 1e-3, ++steps);
      const [loss] = await value.data();
      tf.dispose([value, ...Object.values(grads)]);
      return loss!;
    },
  };
}

function layered(x: Tensor, ...list: Parameters<ReturnType<typeof tfl.sequential>['add']>[0][]): Built {
  const model = tfl.sequential({ layers: list });
  const variables = Object.fromEntries(
    model.trainableWeights.map((weight, i) => [String(i), weight.read() as unknown as Variable]),
  );
  return { variables, x, y: labels(x.shape[0]!), predict: (input) => model.apply(input, { training: true }) as Tensor };
}

function labels(count: number): Tensor {
  return tf.tensor1d(
    Int32Array.from({ length: count }, (_, i) => i % 10),
    'int32',
  );
}

/** Builds two blocks of layer norm, four attention heads, and a feed-forward layer of four times the width. */
function transformer(): Built {
  const [batch, length, width, heads, vocabulary] = [16, 32, 64, 4, 1000];
  const make = (...shape: number[]) => tf.variable(tf.randomNormal(shape, 0, 0.1));
  const variables: Variables = {
    embedding: make(vocabulary, width),
    position: make(length, width),
    head: make(width, 10),
  };
  for (const block of [0, 1]) {
    for (const name of ['q', 'k', 'v', 'o']) variables[`${block}/${name}`] = make(width, width);
    variables[`${block}/up`] = make(width, 4 * width);
    variables[`${block}/down`] = make(4 * width, width);
  }
  const norm = (x: Tensor) => {
    const { mean, variance } = tf.moments(x, -1, true);
    return tf.div(tf.sub(x, mean), tf.sqrt(tf.add(variance, 1e-5)));
  };
  const dense = (x: Tensor, name: string) =>
    tf.matMul(tf.reshape(x, [batch * length, -1]) as Tensor2D, variables[name] as unknown as Tensor2D);
  const split = (x: Tensor) => tf.transpose(tf.reshape(x, [batch, length, heads, width / heads]), [0, 2, 1, 3]);
  const predict = (ids: Tensor): Tensor => {
    let x: Tensor = tf.add(tf.gather(variables.embedding!, ids as never), variables.position!);
    for (const block of [0, 1]) {
      const n = norm(x);
      const [q, k, v] = ['q', 'k', 'v'].map((name) => split(dense(n, `${block}/${name}`))) as [Tensor, Tensor, Tensor];
      const weights = tf.softmax(tf.mul(tf.matMul(q, k, false, true), 1 / Math.sqrt(width / heads)));
      const mixed = tf.reshape(tf.transpose(tf.matMul(weights, v), [0, 2, 1, 3]), [batch, length, width]);
      x = tf.add(x, tf.reshape(dense(mixed, `${block}/o`), [batch, length, width]));
      const up = tf.relu(dense(norm(x), `${block}/up`));
      x = tf.add(
        x,
        tf.reshape(tf.matMul(up as Tensor2D, variables[`${block}/down`] as unknown as Tensor2D), [
          batch,
          length,
          width,
        ]),
      );
    }
    return tf.matMul(tf.mean(x as Tensor3D, 1) as Tensor2D, variables.head as unknown as Tensor2D);
  };
  return { variables, x: tf.randomUniform([batch, length], 0, vocabulary, 'int32'), y: labels(batch), predict };
}
