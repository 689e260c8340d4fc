import type { Training } from '../trainer/training.ts';
import { makeDigitsLikeModel, syntheticDigits } from './trainer-model.ts';

export default {
  params: { epochs: 1 },
  data: ({ tf }) => ({ train: syntheticDigits(tf) }),
  model: ({ layers }) => makeDigitsLikeModel(layers),
  optimizer: () => ({ name: 'adam', learningRate: 1e-3 }),
  loss: 'sparseSoftmaxCrossEntropy',
  epochs: ({ params }) => params.epochs,
  batchSize: 64,
} satisfies Training;
