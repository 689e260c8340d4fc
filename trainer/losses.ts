import type { Scalar, Tensor } from '@tensorflow/tfjs-core';
import { tf } from './tf.ts';
import type { LossName, MetricName } from './training.ts';

type BatchFunction = (target: Tensor, prediction: Tensor) => Scalar;

/** Losses on logits. Each returns the mean over the batch. */
export const losses: Record<LossName, BatchFunction> = {
  softmaxCrossEntropy: (target, logits) => tf.mean(tf.neg(tf.sum(tf.mul(target, tf.logSoftmax(logits)), -1))),
  sparseSoftmaxCrossEntropy: (target, logits) => {
    const classes = logits.shape[logits.shape.length - 1]!;
    return losses.softmaxCrossEntropy(tf.oneHot(tf.cast(target, 'int32'), classes), logits);
  },
  // max(x, 0) − x·t + log(1 + e^−|x|): stable on both sides.
  sigmoidCrossEntropy: (target, logits) =>
    tf.mean(tf.add(tf.sub(tf.relu(logits), tf.mul(logits, target)), tf.log1p(tf.exp(tf.neg(tf.abs(logits)))))),
  meanSquaredError: (target, prediction) => tf.mean(tf.square(tf.sub(prediction, target))),
};

export const metrics: Record<MetricName, BatchFunction> = {
  accuracy: (target, logits) => tf.mean(tf.cast(tf.equal(tf.argMax(target, -1), tf.argMax(logits, -1)), 'float32')),
  sparseAccuracy: (target, logits) =>
    tf.mean(tf.cast(tf.equal(tf.cast(target, 'int32'), tf.argMax(logits, -1)), 'float32')),
  binaryAccuracy: (target, logits) =>
    tf.mean(tf.cast(tf.equal(tf.greater(target, 0.5), tf.greater(logits, 0)), 'float32')),
  meanAbsoluteError: (target, prediction) => tf.mean(tf.abs(tf.sub(prediction, target))),
};
