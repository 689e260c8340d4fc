/** Assembles everything that the loop needs from a launch file: data, model, optimizer, schedule, state. */
import { join, resolve } from 'node:path';
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import type { Monitor, Params } from '../protocol/domain.ts';
import { TrainstashError } from '../protocol/errors.ts';
import { monitorOf } from '../protocol/records.ts';
import type { Skip } from '../protocol/rollback.ts';
import { type Launch, STATE_FILE } from '../protocol/session.ts';
import { launchedParams } from '../session/launch.ts';
import type { Backend } from './backends/backend.ts';
import { tensorTooLarge } from './backends/too-large.ts';
import { type Feed, fingerprint, makeFeed } from './data.ts';
import { losses, metrics as metricFunctions } from './losses.ts';
import { type NamedModel, nameModel } from './model.ts';
import { makeOptimizer, type Optimizer } from './optimizers.ts';
import { mergeParams } from './params.ts';
import { Random, replaceMathRandom } from './random.ts';
import { makeSchedule } from './schedules.ts';
import { initialProgress, loadState, type Progress, stateVariables } from './state.ts';
import { layers, tf } from './tf.ts';
import type { Batch, Context, DataSet, Model, Training } from './training.ts';

export interface Assembly {
  context: Context;
  params: Params;
  data: DataSet;
  dataFingerprint: string | null;
  feed: Feed;
  model: NamedModel;
  /** Model as the module made it. */
  userModel: Model;
  optimizer: Optimizer;
  /** All variables that a checkpoint keeps, by stable names. */
  variables: ReadonlyMap<string, Variable>;
  learningRate(step: number): number;
  loss(batch: Batch): Scalar;
  /** Evaluates a batch of validation data: loss and metrics. Null without validation data. */
  evaluate: ((batch: Batch) => Record<string, Scalar>) | null;
  random: Random;
  progress: Progress;
  epochs: number;
  batchSize: number;
  accumulate: number;
  clipNorm: number | null;
  monitor: Monitor;
  earlyStopping: { monitor: Monitor; patience: number; minDelta: number } | null;
}

export async function assemble(
  training: Training,
  launch: Launch,
  backend: Backend,
  sessionPath: string,
): Promise<Assembly> {
  const params = mergeParams(training.params, launchedParams(launch));
  const random = Random.seeded(launch.seed);
  replaceMathRandom(random);
  const context: Context = { params, tf, layers, seed: launch.seed, stepsPerEpoch: 0, totalSteps: 0 };
  const ask = <T>(value: T | ((context: Context) => T)): T => (value instanceof Function ? value(context) : value);
  const epochs = positive('epochs', ask(training.epochs));
  const batchSize = positive('batchSize', ask(training.batchSize));
  const accumulate = positive('accumulate', training.accumulate ?? 1);

  const data = await training.data(context);
  const feed = makeFeed(data.train, batchSize, launch.seed);
  if (feed.batches !== null) {
    context.stepsPerEpoch = Math.ceil(feed.batches / accumulate);
    context.totalSteps = context.stepsPerEpoch * epochs;
  }
  const userModel = await training.model(context);
  const model = nameModel(userModel);
  checkSizes(model.variables, backend);
  const spec = training.optimizer(context);
  const optimizer = makeOptimizer(spec, model.trainable);
  const variables = stateVariables(model.variables, optimizer.slots);
  const dataFingerprint = await fingerprint(data.train, data.fingerprint, random);

  const progress: Progress = { ...initialProgress(random.state, spec.name), data: feed.state() ?? null };
  if (launch.resume) {
    checkAccepted(launch, dataFingerprint, backend);
    const statePath = join(resolve(sessionPath, launch.resume.directory), STATE_FILE);
    Object.assign(progress, loadState(statePath, variables, spec.name));
    await feed.restore(progress.data);
    random.state = progress.random;
  }
  if (launch.skip) await leaveOut(launch.skip, feed, progress, accumulate);

  const predict = model.predict;
  const named = typeof training.loss === 'string' ? losses[training.loss] : null;
  const lossOf = (target: Tensor, prediction: Tensor): Scalar =>
    named
      ? named(target, prediction)
      : (training.loss as Exclude<Training['loss'], string | undefined>)(target, prediction, context);
  if (typeof training.loss === 'string' && !named)
    throw new TrainstashError(
      'moduleInvalid',
      `There is no loss "${training.loss}". Known: ${Object.keys(losses).join(', ')}.`,
      { file: launch.module, problem: 'unknown loss' },
    );
  const step = training.step?.bind(training);
  if (!step && !predict)
    throw new TrainstashError('moduleInvalid', 'A model without `predict` needs its own `step`.', {
      file: launch.module,
      problem: 'no predict',
    });

  const evaluate = data.validation && predict && training.loss ? evaluation(training, lossOf, predict) : null;
  const monitor = launch.monitor ?? monitorOf(training.best ?? (evaluate ? 'val_loss' : 'epoch_loss'));
  return {
    context,
    params,
    data,
    dataFingerprint,
    feed,
    model,
    userModel,
    optimizer,
    variables,
    random,
    progress,
    epochs,
    batchSize,
    accumulate,
    monitor,
    clipNorm: training.clipNorm ?? null,
    learningRate: makeSchedule(training, context, optimizer.learningRate),
    loss: step
      ? (batch) => step(batch, { ...context, model: userModel })
      : (batch) => lossOf(batch.y, predict!(batch.x, true)),
    evaluate,
    earlyStopping: training.earlyStopping
      ? {
          monitor: training.earlyStopping.monitor ? monitorOf(training.earlyStopping.monitor) : monitor,
          patience: training.earlyStopping.patience,
          minDelta: training.earlyStopping.minDelta ?? 0,
        }
      : null,
  };
}

/** Leaves out batches, as a rollback demands; `accumulate`: those of a step. */
async function leaveOut({ count, unit }: Skip, feed: Feed, progress: Progress, accumulate: number): Promise<void> {
  const batches = count * (unit === 'steps' ? accumulate : 1);
  progress.batch += await feed.leaveOut(progress.epoch, progress.batch, batches);
  progress.data = feed.state() ?? null;
}

function evaluation(
  training: Training,
  lossOf: (target: Tensor, prediction: Tensor) => Scalar,
  predict: (x: Tensor, training: boolean) => Tensor,
): (batch: Batch) => Record<string, Scalar> {
  const metrics = Object.entries(training.metrics ?? {}).map(([name, metric]) => {
    const compute = typeof metric === 'string' ? metricFunctions[metric] : metric;
    if (!compute)
      throw new TrainstashError(
        'moduleInvalid',
        `There is no metric "${String(metric)}". Known: ${Object.keys(metricFunctions).join(', ')}.`,
        { file: '', problem: 'unknown metric' },
      );
    return [name, compute] as const;
  });
  return ({ x, y }) => {
    const prediction = predict(x, false);
    const results: Record<string, Scalar> = { val_loss: lossOf(y, prediction) };
    for (const [name, compute] of metrics) results[`val_${name}`] = compute(y, prediction);
    return results;
  };
}

/** Compares what only the trainer can see with the checkpoint, before anything is changed. */
function checkAccepted(launch: Launch, data: string | null, backend: Backend): void {
  const { expected, accept } = launch.resume!;
  const differences = [
    { kind: 'data' as const, name: '', checkpoint: expected.data ?? '', current: data ?? '' },
    { kind: 'backend' as const, name: '', checkpoint: expected.backend ?? '', current: backend.name },
    // Kernels of another version may round differently.
    {
      kind: 'package' as const,
      name: 'framework',
      checkpoint: expected.framework ?? '',
      current: backend.environment.framework!,
    },
  ].filter(({ kind, checkpoint, current }) => checkpoint !== '' && checkpoint !== current && !accept.includes(kind));
  if (differences.length === 0) return;
  const words = differences.map(({ kind, checkpoint, current }) => `${kind} (${checkpoint} then, ${current} now)`);
  throw new TrainstashError(
    'preflightDiffers',
    `Not resumed: ${words.join(' and ')} differ from the time of the checkpoint. Nothing was changed; use --yes to resume anyway.`,
    { differences },
  );
}

/** Refuses tensors that are too large by name, before an operation fails on one. */
function checkSizes(variables: ReadonlyMap<string, Variable>, { memory }: Backend): void {
  if (memory.kind !== 'device') return;
  for (const [name, { size, shape }] of variables) {
    if (size * 4 > memory.maxTensorBytes)
      throw tensorTooLarge(`${name} with the shape [${shape.join(', ')}]`, size * 4, memory.maxTensorBytes);
  }
}

function positive(name: string, value: number): number {
  if (Number.isInteger(value) && value > 0) return value;
  throw new TrainstashError(
    'moduleInvalid',
    `\`${name}\` must be a whole number above 0, not ${value}. No training was started.`,
    {
      file: '',
      problem: `${name} is ${value}`,
    },
  );
}
