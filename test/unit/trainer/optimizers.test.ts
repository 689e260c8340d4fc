/** Optimizers against their formulas, written out for one number. */
import { beforeAll, expect, test } from 'vitest';
import { clipByGlobalNorm, makeOptimizer } from '../../../trainer/optimizers.ts';
import { makeSchedule } from '../../../trainer/schedules.ts';
import { tf } from '../../../trainer/tf.ts';
import type { Context, OptimizerSpec, ScheduleSpec } from '../../../trainer/training.ts';

beforeAll(async () => void (await tf.setBackend('cpu')));

const GRADIENTS = [0.5, -0.25, 1, 0.125];

function run(spec: OptimizerSpec): number {
  const weight = tf.variable(tf.scalar(1));
  const optimizer = makeOptimizer(spec, new Map([['w', weight]]));
  for (const [i, value] of GRADIENTS.entries())
    optimizer.apply(new Map([['w', tf.scalar(value)]]), spec.learningRate, i + 1);
  return weight.dataSync()[0]!;
}

const rate = 0.1;
const expected: [OptimizerSpec, () => number][] = [
  [{ name: 'sgd', learningRate: rate }, () => GRADIENTS.reduce((w, g) => w - rate * g, 1)],
  [
    { name: 'sgd', learningRate: rate, weightDecay: 0.1 },
    () => GRADIENTS.reduce((w, g) => w - rate * (g + 0.1 * w), 1),
  ],
  [
    { name: 'momentum', learningRate: rate, momentum: 0.8 },
    () => {
      let v = 0;
      return GRADIENTS.reduce((w, g) => {
        v = 0.8 * v + g;
        return w - rate * v;
      }, 1);
    },
  ],
  [
    { name: 'momentum', learningRate: rate, momentum: 0.8, nesterov: true },
    () => {
      let v = 0;
      return GRADIENTS.reduce((w, g) => {
        v = 0.8 * v + g;
        return w - rate * (g + 0.8 * v);
      }, 1);
    },
  ],
  [{ name: 'adam', learningRate: rate }, () => adam(0)],
  [{ name: 'adamw', learningRate: rate, weightDecay: 0.05 }, () => adam(0.05)],
  [
    { name: 'rmsprop', learningRate: rate, decay: 0.9 },
    () => {
      let s = 0;
      return GRADIENTS.reduce((w, g) => {
        s = 0.9 * s + 0.1 * g * g;
        return w - (rate * g) / (Math.sqrt(s) + 1e-8);
      }, 1);
    },
  ],
  [
    { name: 'rmsprop', learningRate: rate, decay: 0.9, momentum: 0.5, centered: true },
    () => {
      let [s, mean, v] = [0, 0, 0];
      return GRADIENTS.reduce((w, g) => {
        s = 0.9 * s + 0.1 * g * g;
        mean = 0.9 * mean + 0.1 * g;
        v = 0.5 * v + g / (Math.sqrt(s - mean * mean) + 1e-8);
        return w - rate * v;
      }, 1);
    },
  ],
];

function adam(weightDecay: number): number {
  let [m, v] = [0, 0];
  return GRADIENTS.reduce((w, g, i) => {
    m = 0.9 * m + 0.1 * g;
    v = 0.999 * v + 0.001 * g * g;
    const step = m / (1 - 0.9 ** (i + 1)) / (Math.sqrt(v / (1 - 0.999 ** (i + 1))) + 1e-8);
    return w * (1 - rate * weightDecay) - rate * step;
  }, 1);
}

for (const [spec, value] of expected)
  test(`${JSON.stringify(spec)} follows its formula`, () => expect(run(spec)).toBeCloseTo(value(), 5));

test('an unknown optimizer is refused by name', () => {
  expect(() => makeOptimizer({ name: 'lion', learningRate: 1 } as never, new Map())).toThrow(/no optimizer "lion"/);
});

test('gradients are scaled to the global norm, and only down', () => {
  const gradients = new Map([
    ['a', tf.tensor1d([3, 0])],
    ['b', tf.tensor1d([0, 4])],
  ] as const) as Map<string, never>;
  clipByGlobalNorm(gradients, 1);
  expect([...(gradients.get('a') as never as { dataSync(): Float32Array }).dataSync()][0]).toBeCloseTo(0.6, 5);
  const small = new Map([['a', tf.tensor1d([0.1])]]) as Map<string, never>;
  clipByGlobalNorm(small, 1);
  expect((small.get('a') as never as { dataSync(): Float32Array }).dataSync()[0]).toBeCloseTo(0.1, 6);
});

test('schedules are functions of the step alone', () => {
  const context = { totalSteps: 100 } as Context;
  const at = (schedule: ScheduleSpec | ((step: number) => number), step: number) =>
    makeSchedule({ schedule } as never, context, 0.1)(step);
  expect(at({ name: 'constant' }, 70)).toBe(0.1);
  expect(at({ name: 'step', every: 30 }, 65)).toBeCloseTo(0.001, 10);
  expect(at({ name: 'cosine', warmup: 10 }, 0)).toBeCloseTo(0.01, 10);
  expect(at({ name: 'cosine', warmup: 10 }, 9)).toBeCloseTo(0.1, 10);
  expect(at({ name: 'cosine', warmup: 10 }, 55)).toBeCloseTo(0.05, 10);
  expect(at({ name: 'cosine', warmup: 10, floor: 0.2 }, 100)).toBeCloseTo(0.02, 10);
  expect(at((step) => step * 2, 4)).toBe(8);
});
