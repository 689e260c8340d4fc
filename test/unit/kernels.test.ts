/** wasm against cpu, kernel by kernel; and for each replacement, that upstream's kernel fails the same check. */
import { beforeAll, describe, expect, test } from 'vitest';
import { errorBetween, type KernelCheck, kernelChecks, replacedChecks } from '../../daemon/trainer/kernels/checks.ts';
import { installWasmKernels, replacements } from '../../daemon/trainer/kernels/wasm.ts';
import { tf, tfDirectory, wasm } from '../../daemon/trainer/tf.ts';

// biome-ignore lint/suspicious/noExplicitAny: the checks give plain tensors to functions that want a rank.
const t = tf as any;
const errorOf = (check: KernelCheck) => errorBetween(['cpu', 'wasm'], check);

/** Upstream is right for this one, but slow: it has a test of its own. */
const SLOW = 'BatchMatMul';

beforeAll(async () => {
  wasm.setWasmPaths(`${tfDirectory}/tf/`);
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  await tf.setBackend('wasm');
});

describe('upstream’s kernels are missing, wrong or imprecise where ours are put in their place', () => {
  for (const [name, check] of Object.entries(replacedChecks)) {
    if (name === SLOW) continue;
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
    // Upstream: 20 times. The margin is for busy machines.
    expect(fastest(true) / fastest(false)).toBeLessThan(8);
  });

  for (const [name, check] of Object.entries(kernelChecks))
    test(`${name} agrees with cpu`, async () => expect(await errorOf(check)).toBeLessThan(2e-5));
});
