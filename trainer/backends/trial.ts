/**
 * Trial of a backend: a small training that takes a moment. Its losses are compared with those of the cpu backend, and
 * it is timed.
 */
import type { Tensor } from '@tensorflow/tfjs-core';
import type { LayersModel } from '@tensorflow/tfjs-layers';
import { losses as lossFunctions } from '../losses.ts';
import { makeOptimizer } from '../optimizers.ts';
import { Random } from '../random.ts';
import { tf, layers as tfl } from '../tf.ts';

const STEPS = 20;
/**
 * Time long enough to see a difference and short enough to wait for. A step that takes longer is slow enough to judge.
 */
const TIMED_MS = 500;
const WARM_UP_MS = 500;
const WARM_UP_STEPS = 3;

interface Trial {
  /** Makes the model. Its weights are set by their names, equally on every backend. */
  model(): LayersModel;
  inputShape: number[];
  classes: number;
  batchSize: number;
}

const convolution: Trial = {
  model() {
    const model = tfl.sequential();
    model.add(tfl.layers.conv2d({ filters: 4, kernelSize: 3, inputShape: [10, 10, 1] }));
    model.add(tfl.layers.batchNormalization());
    model.add(tfl.layers.activation({ activation: 'relu' }));
    model.add(tfl.layers.maxPooling2d({ poolSize: 2 }));
    model.add(tfl.layers.flatten());
    model.add(tfl.layers.dense({ units: 16, activation: 'tanh' }));
    model.add(tfl.layers.dense({ units: 4 }));
    return model;
  },
  inputShape: [10, 10, 1],
  classes: 4,
  batchSize: 16,
};

const convolutionTimed: Trial = {
  model() {
    const model = tfl.sequential();
    model.add(tfl.layers.conv2d({ filters: 16, kernelSize: 3, activation: 'relu', inputShape: [28, 28, 1] }));
    model.add(tfl.layers.maxPooling2d({ poolSize: 2 }));
    model.add(tfl.layers.conv2d({ filters: 32, kernelSize: 3, activation: 'relu' }));
    model.add(tfl.layers.maxPooling2d({ poolSize: 2 }));
    model.add(tfl.layers.flatten());
    model.add(tfl.layers.dense({ units: 10 }));
    return model;
  },
  inputShape: [28, 28, 1],
  classes: 10,
  batchSize: 32,
};

const denseTimed: Trial = {
  model() {
    const model = tfl.sequential();
    model.add(tfl.layers.dense({ units: 512, activation: 'relu', inputShape: [784] }));
    model.add(tfl.layers.dense({ units: 10 }));
    return model;
  },
  inputShape: [784],
  classes: 10,
  batchSize: 128,
};

/** Computes the largest difference between the losses of 20 steps on both backends, relative to the reference. */
export async function lossError(reference: string, backend: string): Promise<number> {
  const expected = await lossesOn(reference, convolution);
  const own = await lossesOn(backend, convolution);
  return Math.max(
    ...expected.map((loss, i) => {
      const error = Math.abs(loss - own[i]!) / Math.max(Math.abs(loss), 1e-3);
      return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error;
    }),
  );
}

/**
 * Returns the milliseconds of one step of a convolutional and one of a dense net together: the best of several, since other
 * work on the machine only ever adds. In processor time where that is all that a step takes (`onProcessor`: one thread, no
 * device): on a busy machine wall time swings more than tenfold.
 */
export async function stepMs(backend: string, onProcessor: boolean): Promise<number> {
  return (await timeOf(backend, convolutionTimed, onProcessor)) + (await timeOf(backend, denseTimed, onProcessor));
}

async function lossesOn(backend: string, trial: Trial): Promise<number[]> {
  await tf.setBackend(backend);
  const training = start(trial);
  const found: number[] = [];
  for (let step = 1; step <= STEPS; step++) found.push(await training.step(step));
  training.end();
  return found;
}

async function timeOf(backend: string, trial: Trial, onProcessor: boolean): Promise<number> {
  await tf.setBackend(backend);
  const training = start(trial);
  let step = 0;
  const one = () => training.step(++step);
  const warm = performance.now() + WARM_UP_MS;
  do await one();
  while (step < WARM_UP_STEPS && performance.now() < warm);
  const times: number[] = [];
  const until = performance.now() + TIMED_MS;
  do {
    const started = clock(onProcessor);
    await one();
    times.push(clock(onProcessor) - started);
  } while (performance.now() < until);
  training.end();
  return Math.min(...times);
}

function clock(onProcessor: boolean): number {
  if (!onProcessor) return performance.now();
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

function start({ model: build, inputShape, classes, batchSize }: Trial) {
  const random = Random.seeded(1);
  const values = (shape: number[], scale: number) =>
    tf.tensor(
      Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => (random.float() - 0.5) * scale),
      shape,
    );
  const model = build();
  for (const weight of model.weights) {
    // The variance of a batch norm stays at one.
    if (weight.originalName.endsWith('variance')) continue;
    const initial = values(weight.shape as number[], 0.2);
    weight.write(initial);
    initial.dispose();
  }
  const trainable = new Map(model.trainableWeights.map((weight, i) => [String(i), weight.read() as never]));
  const optimizer = makeOptimizer({ name: 'adam', learningRate: 0.01 }, trainable);
  const x = values([batchSize, ...inputShape], 2);
  const y = tf.tensor1d(
    Int32Array.from({ length: batchSize }, (_, i) => i % classes),
    'int32',
  );
  const names = new Map([...trainable].map(([name, variable]) => [(variable as { name: string }).name, name]));
  return {
    async step(step: number): Promise<number> {
      const { value, grads } = tf.variableGrads(
        () => lossFunctions.sparseSoftmaxCrossEntropy!(y, model.apply(x, { training: true }) as Tensor),
        [...trainable.values()],
      );
      optimizer.apply(new Map(Object.entries(grads).map(([name, grad]) => [names.get(name)!, grad])), 0.01, step);
      const [loss] = await value.data();
      tf.dispose([value, ...Object.values(grads)]);
      return loss!;
    },
    end() {
      model.dispose();
      tf.dispose([x, y, ...optimizer.slots.values()]);
    },
  };
}
