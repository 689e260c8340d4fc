/**
 * Exports of a training module (types only; write `export default { … } satisfies Training`). The trainer owns the
 * loop: order of the data, steps, learning rate, checkpoints, resume. A module only defines the training.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type * as tfl from '@tensorflow/tfjs-layers';

export interface Training {
  /** Default of every param. Other params are refused. Each function below gets the actual values. */
  params: Record<string, unknown>;
  data(context: Context): DataSet | Promise<DataSet>;
  /** Makes the model. Called once for each launch, also before a resume: the weights are then replaced. */
  model(context: Context): Model | Promise<Model>;
  optimizer(context: Context): OptimizerSpec;
  /** Mean loss of a batch, a scalar. Not needed with `step`. */
  loss?: LossName | ((target: tf.Tensor, prediction: tf.Tensor, context: Context) => tf.Scalar);
  /**
   * Metrics of the validation data, computed after each epoch and logged as `val_<name>`; each returns a batch mean, a
   * scalar.
   */
  metrics?: Record<string, MetricName | ((target: tf.Tensor, prediction: tf.Tensor) => tf.Scalar)>;
  /** Learning rate at optimizer step 0, 1, …; by default the optimizer's own, constant. */
  schedule?: ScheduleSpec | ((step: number, context: Context) => number);
  /** Replaces model and loss: returns the loss of one batch; called inside the gradient tape. */
  step?(batch: Batch, context: Context & { model: Model }): tf.Scalar;
  epochs: number | ((context: Context) => number);
  batchSize: number | ((context: Context) => number);
  /** Largest global norm of the gradients. */
  clipNorm?: number;
  /** Number of batches whose gradients are averaged into one optimizer step. */
  accumulate?: number;
  earlyStopping?: EarlyStoppingSpec;
  /**
   * Metric that "best" refers to: `val_loss`, or `max:val_accuracy`. By default `val_loss`, without validation
   * `epoch_loss`.
   */
  best?: string;
}

export interface Context {
  // biome-ignore lint/suspicious/noExplicitAny: a param has the type that the module gave it; `unknown` would need a cast at each use.
  params: Record<string, any>;
  /** Same TensorFlow.js that an import gives. */
  tf: typeof tf;
  layers: typeof tfl;
  seed: number;
  /** Number of optimizer steps in an epoch; 0 until the data is known. */
  stepsPerEpoch: number;
  totalSteps: number;
}

export interface DataSet {
  train: DataSource;
  validation?: IndexedData | ArrayData;
  /** Text that identifies the data beyond a sample of its content, such as a version. */
  fingerprint?: string;
}

export type DataSource = IndexedData | ArrayData | StatefulData;

/** Samples by index; the trainer draws the order from (seed, epoch). */
export interface IndexedData {
  length: number;
  /** Makes a batch of the samples `indices`; the trainer disposes of its tensors. */
  batch(indices: Int32Array): Batch | Promise<Batch>;
  /** False to read the samples in order. */
  shuffle?: boolean;
}

/** Arrays or tensors whose first dimension counts samples. */
export interface ArrayData {
  x: tf.Tensor;
  y: tf.Tensor;
  shuffle?: boolean;
}

/** Data source with its own order. `state()` is called at step boundaries and must return plain JSON. */
export interface StatefulData {
  /** Returns the next batch of the epoch, or null at its end. */
  next(epoch: number): Promise<Batch | null>;
  state(): unknown;
  restore(state: unknown): void | Promise<void>;
  /** Number of batches in an epoch, if known. */
  batches?: number;
}

export interface Batch {
  x: tf.Tensor;
  y: tf.Tensor;
}

/** Layers model, or variables by stable names with an optional forward pass for validation. */
export type Model = tfl.LayersModel | CustomModel;

export interface CustomModel {
  variables: Record<string, tf.Variable>;
  predict?(x: tf.Tensor, training: boolean): tf.Tensor;
}

export type LossName = 'softmaxCrossEntropy' | 'sparseSoftmaxCrossEntropy' | 'sigmoidCrossEntropy' | 'meanSquaredError';
export type MetricName = 'accuracy' | 'sparseAccuracy' | 'binaryAccuracy' | 'meanAbsoluteError';

export type OptimizerSpec =
  | { name: 'sgd'; learningRate: number; weightDecay?: number }
  | { name: 'momentum'; learningRate: number; momentum?: number; nesterov?: boolean; weightDecay?: number }
  | { name: 'adam'; learningRate: number; beta1?: number; beta2?: number; epsilon?: number }
  | { name: 'adamw'; learningRate: number; beta1?: number; beta2?: number; epsilon?: number; weightDecay?: number }
  | { name: 'rmsprop'; learningRate: number; decay?: number; momentum?: number; epsilon?: number; centered?: boolean };

export type ScheduleSpec =
  | { name: 'constant' }
  /** Multiplied by `gamma` (0.1) every `every` steps. */
  | { name: 'step'; every: number; gamma?: number }
  /**
   * Linear warm-up over `warmup` steps, then a half cosine down to `floor` (0) × the learning rate at `steps` (all).
   */
  | { name: 'cosine'; warmup?: number; steps?: number; floor?: number };

export interface EarlyStoppingSpec {
  /** Metric `val_loss`, or `max:val_accuracy`; by default the training's `best`. */
  monitor?: string;
  /** Number of epochs without improvement that are tolerated. */
  patience: number;
  /** Smallest change that counts. */
  minDelta?: number;
}
