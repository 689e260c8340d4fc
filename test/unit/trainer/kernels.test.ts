/** wasm against cpu, kernel by kernel; and for each replacement, that upstream's kernel fails the same check. */
import { beforeAll, describe, expect, test } from 'vitest';
import { errorBetween, input, type KernelCheck } from '../../../trainer/kernels/check.ts';
import { kernelChecks, replacedChecks } from '../../../trainer/kernels/checks.ts';
import { LSTM_STEP, LSTM_STEP_GRADIENT } from '../../../trainer/kernels/lstm.ts';
import { installWasmKernels, replacements } from '../../../trainer/kernels/wasm.ts';
import { ADAM_KERNEL } from '../../../trainer/optimizers.ts';
import { layers, tf, tfDirectory, wasm } from '../../../trainer/tf.ts';

// biome-ignore lint/suspicious/noExplicitAny: the checks pass plain tensors to functions that want a rank.
const t = tf as any;
const errorOf = (check: KernelCheck) => errorBetween(['cpu', 'wasm'], check);

/** Kernels for which upstream is correct but slow, or has other operations. */
const SLOW = ['BatchMatMul', 'Conv2DBackpropInput', 'Tile', 'Identity', ADAM_KERNEL, LSTM_STEP, LSTM_STEP_GRADIENT];

beforeAll(async () => {
  wasm.setWasmPaths(`${tfDirectory}/tf/`);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await tf.setBackend('wasm');
});

describe('upstream’s kernels are missing, wrong or imprecise where ours are put in their place', () => {
  for (const [name, check] of Object.entries(replacedChecks)) {
    if (SLOW.includes(name)) continue;
    test(name, async () => {
      const error = await errorOf(check).catch(() => Number.POSITIVE_INFINITY);
      expect(error).toBeGreaterThan(name === 'Sum' || name === 'Mean' ? 1e-6 : 1e-2);
    });
  }
});

describe('with our kernels', () => {
  beforeAll(() => installWasmKernels());

  test('every replacement has a check', () => {
    expect(replacements.map(({ name }) => name).sort()).toEqual(Object.keys(replacedChecks).sort());
  });

  for (const [name, check] of Object.entries(replacedChecks)) {
    test(`${name} agrees with cpu`, async () =>
      expect(await errorOf(check)).toBeLessThan(name === 'Sum' || name === 'Mean' ? 3e-7 : 1e-5));
  }

  test('a product with a transpose flag is not much slower than one without', async () => {
    await tf.setBackend('wasm');
    const a = tf.randomNormal([384, 384]);
    const fastest = (transposed: boolean) => {
      let best = Number.POSITIVE_INFINITY;
      for (let i = 0; i < 5; i++) {
        const started = performance.now();
        t.matMul(a, a, transposed, false).dispose();
        best = Math.min(best, performance.now() - started);
      }
      return best;
    };
    // Upstream takes 20 times as long. The margin is for busy machines.
    expect(fastest(true) / fastest(false)).toBeLessThan(8);
  });

  test('batches that stretch in both ways give a product for each pair', async () => {
    const pairs = { inputs: [input([2, 1, 3, 5]), input([1, 2, 5, 4])], run: (...[a, b]: unknown[]) => t.matMul(a, b) };
    expect(await errorOf(pairs)).toBeLessThan(1e-5);
  });

  test('products whose inner dimensions or batches do not fit are refused', async () => {
    await tf.setBackend('wasm');
    for (const [a, b, transposed] of [
      [[3, 4], [5, 2], false],
      [[3, 4], [3, 4], false],
      [[4, 3], [5, 2], true],
      [[2, 3, 4], [3, 4, 5], false],
    ] as const)
      expect(() => t.matMul(tf.ones([...a]), tf.ones([...b]), transposed), `${a} by ${b}`).toThrow();
  });

  test('the step of an LSTM is one kernel; with dropout or another activation it is upstream’s', async () => {
    await tf.setBackend('wasm');
    const stepsOf = async (options: object) => {
      const layer = layers.layers.lstm({ units: 4, ...options });
      const { kernelNames } = await tf.profile(() => layer.apply(tf.ones([2, 3, 5]), { training: true }) as never);
      return { kernelNames: kernelNames.includes(LSTM_STEP), tanh: kernelNames.includes('Tanh') };
    };
    for (const options of [{}, { recurrentActivation: 'sigmoid', returnSequences: true, useBias: false }])
      expect(await stepsOf(options)).toEqual({ kernelNames: true, tanh: false });
    for (const options of [{ dropout: 0.5 }, { recurrentDropout: 0.5 }])
      expect(await stepsOf(options)).toEqual({ kernelNames: false, tanh: true });
    expect(await stepsOf({ activation: 'relu' })).toEqual({ kernelNames: false, tanh: false });
  });

  test('masked, stateful and bidirectional LSTMs agree with cpu', async () => {
    const t3 = input([2, 5, 3]);
    t3.values.fill(0, 6, 12);
    const run = (x: unknown) => {
      const initial = { kernelInitializer: 'ones', recurrentInitializer: 'ones' } as const;
      const layer = layers.layers.lstm({ units: 5, returnSequences: true, goBackwards: true, ...initial });
      const stateful = layers.layers.lstm({ units: 3, stateful: true, batchInputShape: [2, 5, 5], ...initial });
      const both = layers.layers.bidirectional({
        layer: layers.layers.lstm({ units: 2, returnSequences: true, ...initial }) as never,
        mergeMode: 'concat',
      });
      const hidden = layer.apply(layers.layers.masking({ maskValue: 0 }).apply(x as never)) as never;
      return [hidden, stateful.apply(hidden), stateful.apply(hidden), both.apply(hidden)].reduce(
        (sum, tensor) => t.add(sum, t.sum(tensor)),
        t.scalar(0),
      );
    };
    expect(await errorOf({ inputs: [t3], run })).toBeLessThan(1e-5);
  });

  test('an update of Adam has the bits of its single operations', async () => {
    const check = replacedChecks[ADAM_KERNEL]!;
    const bits = async () => {
      await tf.setBackend('wasm');
      const output = tf.tidy(() => check.run(...check.inputs.map(({ values, shape }) => tf.tensor(values, shape))));
      return Buffer.from((await output.data()).buffer).toString('hex');
    };
    const fused = await bits();
    const kernel = tf.getKernel(ADAM_KERNEL, 'wasm')!;
    tf.unregisterKernel(ADAM_KERNEL, 'wasm');
    const single = await bits();
    tf.registerKernel(kernel);
    expect(fused).toBe(single);
  });

  test('gradients of a convolution whose image is more than is laid out at a time agree with cpu', async () => {
    const large: KernelCheck = {
      inputs: [input([1, 170, 170, 20]), input([3, 3, 20, 2])],
      run: (x, filter) => {
        const gradients = tf.grads((a, b) => t.conv2d(a, b, 1, 'same'))([x!, filter!]);
        return tf.concat(gradients.map((gradient) => tf.reshape(gradient, [-1])));
      },
    };
    expect(await errorOf(large)).toBeLessThan(1e-5);
  });

  for (const [name, check] of Object.entries(kernelChecks))
    test(`${name} agrees with cpu`, async () => expect(await errorOf(check)).toBeLessThan(2e-5));
});
