/** Checks of an LSTM's step: two steps of upstream's cell and the gradients of all that goes in, on any backend. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { layers, tf } from '../tf.ts';
import { input, type KernelCheck } from './check.ts';

interface Cell {
  kernel: { read(): Tensor };
  recurrentKernel: { read(): Tensor };
  bias: { read(): Tensor };
  call(inputs: Tensor[], options: object): [Tensor, Tensor, Tensor];
}

/** Makes a check with values so large that gates saturate. The result is both outputs and all gradients in one row. */
export function lstmCheck(
  recurrentActivation: 'sigmoid' | 'hardSigmoid',
  useBias: boolean,
  [rows, width, units]: [number, number, number],
): KernelCheck {
  const state = [rows, units];
  const shapes = [[rows, width], state, state, [width, 4 * units], [units, 4 * units], [4 * units]];
  const large = (shape: number[]) => {
    const one = input(shape);
    return { ...one, values: one.values.map((value) => value * 6) };
  };
  return {
    inputs: [...shapes.map(large), input(state), input(state)],
    run(...tensors) {
      const [dOutput, dCarry] = tensors.slice(-2) as [Tensor, Tensor];
      const results: Tensor[] = [];
      const loss = (...[x, h, c, kernel, recurrent, bias]: Tensor[]) => {
        const cell = layers.layers.lstmCell({ units, useBias, recurrentActivation }) as unknown as Cell;
        cell.kernel = { read: () => kernel! };
        cell.recurrentKernel = { read: () => recurrent! };
        cell.bias = { read: () => bias! };
        const [, ...first] = cell.call([x!, h!, c!], {});
        const [output, , carry] = cell.call([tf.neg(x!), ...first], {});
        results.push(output, carry);
        return tf.add(tf.sum(tf.mul(output, dOutput)), tf.sum(tf.mul(carry, dCarry)));
      };
      const used = tensors.slice(0, useBias ? 6 : 5);
      const gradients = tf.grads((...some) =>
        tf.tidy(() => {
          const value = loss(...some);
          for (const result of results) tf.keep(result);
          return value as never;
        }),
      )(used);
      return tf.concat([...results, ...gradients].map((tensor) => tf.reshape(tensor, [-1])));
    },
  };
}
