/**
 * Takes an LSTM's step in one kernel where upstream takes some twenty small ones, whose bookkeeping costs more than their
 * arithmetic; backward in one kernel and products. Backends that have no such kernel go upstream's way.
 */
import type { GradConfig, NamedTensorMap, Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { layers, tf } from '../tf.ts';

/** Name of the kernel: x, h, c, kernel, recurrent and perhaps bias in; h, c and the gates out. */
export const LSTM_STEP = 'TrainstashLstmStep';
export const LSTM_STEP_GRADIENT = 'TrainstashLstmStepGradient';

export interface StepAttributes {
  /** True: gates are Keras's hard sigmoid, else the logistic function. */
  hard: boolean;
}

/** Parts of upstream's cell that decide whether its step can be one kernel. */
interface LstmCell {
  units: number;
  dropout: number;
  recurrentDropout: number;
  useBias: boolean;
  activation: object;
  recurrentActivation: object;
  kernel: { read(): Tensor };
  recurrentKernel: { read(): Tensor };
  bias: { read(): Tensor } | null;
}

type Call = (this: LstmCell, inputs: Tensor[], options: object) => Tensor[];

/** Lets each LSTM cell of upstream's layers use the backend's kernels; call it once. */
export function useLstmStep(): void {
  tf.registerGradient(stepGradient as unknown as GradConfig);
  const cell = Object.getPrototypeOf(layers.layers.lstmCell({ units: 1 })) as { call: Call };
  const upstream = cell.call;
  cell.call = function call(inputs, options) {
    const hard = gatesOf(this);
    if (
      hard === null ||
      !tf.getKernel(LSTM_STEP, tf.getBackend()) ||
      inputs.some(({ dtype, rank }) => dtype !== 'float32' || rank !== 2)
    )
      return upstream.call(this, inputs, options);
    const [x, h, c] = inputs as [Tensor, Tensor, Tensor];
    return tf.tidy(() => {
      const [output, carry] = lstmStep(
        { x, h, c, kernel: this.kernel.read(), recurrent: this.recurrentKernel.read() },
        this.bias?.read(),
        hard,
      );
      return [output, output, carry];
    });
  };
}

/** Takes one step; differentiable in all of its inputs. Returns output and carry. */
export function lstmStep(inputs: NamedTensorMap, bias: Tensor | undefined, hard: boolean): [Tensor, Tensor] {
  const all = bias ? { ...inputs, bias } : inputs;
  const [output, carry] = tf.engine().runKernel(LSTM_STEP, all, { hard }) as unknown as Tensor[];
  return [output!, carry!];
}

/** Tells whether a cell's gates are the hard sigmoid. Null: it has what the kernel does not know. */
function gatesOf({ dropout, recurrentDropout, activation, recurrentActivation }: LstmCell): boolean | null {
  const name = (one: object) => (one.constructor as { className?: string }).className;
  if (dropout > 0 || recurrentDropout > 0 || name(activation) !== 'tanh') return null;
  const gates = name(recurrentActivation);
  return gates === 'hardSigmoid' ? true : gates === 'sigmoid' ? false : null;
}

const stepGradient = {
  kernelName: LSTM_STEP,
  inputsToSave: ['x', 'h', 'c', 'kernel', 'recurrent'],
  outputsToSave: [false, false, true],
  gradFunc: ([dOutput, dCarry]: Tensor2D[], saved: Tensor2D[], attrs: object) => {
    const [x, h, c, kernel, recurrent, gates] = saved as [Tensor2D, Tensor2D, Tensor2D, Tensor2D, Tensor2D, Tensor2D];
    const inputs = { gates, c, dOutput: dOutput!, dCarry: dCarry! };
    const results = tf.engine().runKernel(LSTM_STEP_GRADIENT, inputs, { ...attrs }) as unknown as Tensor2D[];
    const [dz, before, sums] = results as [Tensor2D, Tensor2D, Tensor2D];
    return {
      x: () => tf.matMul(dz, kernel, false, true),
      h: () => tf.matMul(dz, recurrent, false, true),
      c: () => tf.clone(before),
      kernel: () => tf.matMul(x, dz, true, false),
      recurrent: () => tf.matMul(h, dz, true, false),
      bias: () => tf.clone(sums),
    };
  },
};

/** Adds up rows in float64, and rounds once. */
export function columnSums(values: Float32Array, width: number): Float32Array {
  const sums = new Float64Array(width);
  for (let i = 0; i < values.length; ) for (let column = 0; column < width; column++, i++) sums[column]! += values[i]!;
  return Float32Array.from(sums);
}
