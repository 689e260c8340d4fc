/**
 * Built-in optimizers: upstream's cannot be restored exactly (Adam keeps running products in private scalars and
 * recomputes them, Adamax cannot be saved at all), and there is no AdamW. Bias corrections come from the integer step
 * in float64; all state is in named slots.
 */
import type { Tensor, Variable } from '@tensorflow/tfjs-core';
import { TrainstashError } from '../protocol/errors.ts';
import { tf } from './tf.ts';
import type { OptimizerSpec } from './training.ts';

export interface Optimizer {
  readonly learningRate: number;
  /** Slots by name, `<slot>/<variable>`; complete from the start, so that shapes can be checked before training. */
  readonly slots: ReadonlyMap<string, Variable>;
  /**
   * Makes one update. `step` counts from 1; gradients belong to the caller. Assigns nothing until everything is
   * computed.
   */
  apply(gradients: ReadonlyMap<string, Tensor>, learningRate: number, step: number): void;
}

type Update = (
  variable: Tensor,
  gradient: Tensor,
  slots: Record<string, Tensor>,
  learningRate: number,
  step: number,
) => { variable: Tensor } & Record<string, Tensor>;

export function makeOptimizer(spec: OptimizerSpec, variables: ReadonlyMap<string, Variable>): Optimizer {
  const { slotNames, update } = rule(spec);
  const slots = new Map<string, Variable>();
  for (const slot of slotNames) {
    for (const [name, variable] of variables)
      slots.set(`${slot}/${name}`, tf.variable(tf.zeros(variable.shape), false));
  }
  return {
    learningRate: spec.learningRate,
    slots,
    apply(gradients, learningRate, step) {
      const results: [Variable, Tensor][] = [];
      for (const [name, gradient] of gradients) {
        const variable = variables.get(name)!;
        const own = Object.fromEntries(slotNames.map((slot) => [slot, slots.get(`${slot}/${name}`)!]));
        const updated = tf.tidy(() => update(variable, gradient, own, learningRate, step));
        results.push([variable, updated.variable]);
        for (const slot of slotNames) results.push([slots.get(`${slot}/${name}`)!, updated[slot]!]);
      }
      for (const [variable, value] of results) {
        variable.assign(value);
        value.dispose();
      }
    },
  };
}

function rule(spec: OptimizerSpec): { slotNames: string[]; update: Update } {
  switch (spec.name) {
    case 'sgd':
      return { slotNames: [], update: sgd(spec.weightDecay ?? 0) };
    case 'momentum':
      return {
        slotNames: ['momentum'],
        update: momentum(spec.momentum ?? 0.9, spec.nesterov ?? false, spec.weightDecay ?? 0),
      };
    case 'adam':
      return { slotNames: ['m', 'v'], update: adam(spec.beta1 ?? 0.9, spec.beta2 ?? 0.999, spec.epsilon ?? 1e-8, 0) };
    case 'adamw':
      return {
        slotNames: ['m', 'v'],
        update: adam(spec.beta1 ?? 0.9, spec.beta2 ?? 0.999, spec.epsilon ?? 1e-8, spec.weightDecay ?? 0.01),
      };
    case 'rmsprop':
      return rmsprop(spec.decay ?? 0.9, spec.momentum ?? 0, spec.epsilon ?? 1e-8, spec.centered ?? false);
    default: {
      const { name } = spec as { name: string };
      throw new TrainstashError('paramInvalid', `There is no optimizer "${name}".`, {
        param: 'optimizer',
        expected: 'sgd, momentum, adam, adamw or rmsprop',
      });
    }
  }
}

function decayed(gradient: Tensor, variable: Tensor, weightDecay: number): Tensor {
  return weightDecay === 0 ? gradient : tf.add(gradient, tf.mul(variable, weightDecay));
}

function sgd(weightDecay: number): Update {
  return (variable, gradient, _slots, learningRate) => ({
    variable: tf.sub(variable, tf.mul(decayed(gradient, variable, weightDecay), learningRate)),
  });
}

function momentum(factor: number, nesterov: boolean, weightDecay: number): Update {
  return (variable, gradient, slots, learningRate) => {
    const g = decayed(gradient, variable, weightDecay);
    const velocity = tf.add(tf.mul(slots.momentum!, factor), g);
    const direction = nesterov ? tf.add(g, tf.mul(velocity, factor)) : velocity;
    return { variable: tf.sub(variable, tf.mul(direction, learningRate)), momentum: velocity };
  };
}

/**
 * Name of an optional kernel of a backend: x, gradient, m, v in; x, m, v out, with the same bits as the single
 * operations.
 */
export const ADAM_KERNEL = 'TrainstashAdam';
export interface AdamAttributes {
  beta1: number;
  beta2: number;
  rate: number;
  epsilon: number;
  shrink: number;
}

/** Makes the update of Kingma & Ba 2015; with `weightDecay` decoupled as in Loshchilov & Hutter 2019. */
function adam(beta1: number, beta2: number, epsilon: number, weightDecay: number): Update {
  return (variable, gradient, slots, learningRate, step) => {
    const numbers = adamNumbers({ beta1, beta2, epsilon, weightDecay }, learningRate, step);
    if (tf.getKernel(ADAM_KERNEL, tf.getBackend())) {
      const inputs = { x: variable, gradient, m: slots.m!, v: slots.v! };
      const [x, m, v] = tf.engine().runKernel(ADAM_KERNEL, inputs, { ...numbers }) as unknown as Tensor[];
      return { variable: x!, m: m!, v: v! };
    }
    const { rate, epsilon: scaled, shrink } = numbers;
    const m = tf.add(tf.mul(slots.m!, beta1), tf.mul(gradient, 1 - beta1));
    const v = tf.add(tf.mul(slots.v!, beta2), tf.mul(tf.square(gradient), 1 - beta2));
    const change = tf.div(tf.mul(m, rate), tf.add(tf.sqrt(v), scaled));
    const shrunk = weightDecay === 0 ? variable : tf.mul(variable, shrink);
    return { variable: tf.sub(shrunk, change), m, v };
  };
}

/** Computes lr · (m / c1) / (sqrt(v / c2) + ε) with combined constants: three operations fewer. */
function adamNumbers(
  { beta1, beta2, epsilon, weightDecay }: { beta1: number; beta2: number; epsilon: number; weightDecay: number },
  learningRate: number,
  step: number,
): AdamAttributes {
  const correction1 = 1 - beta1 ** step;
  const correction2 = Math.sqrt(1 - beta2 ** step);
  return {
    beta1,
    beta2,
    rate: (learningRate * correction2) / correction1,
    epsilon: epsilon * correction2,
    shrink: 1 - learningRate * weightDecay,
  };
}

function rmsprop(
  decay: number,
  factor: number,
  epsilon: number,
  centered: boolean,
): { slotNames: string[]; update: Update } {
  const slotNames = ['square', ...(centered ? ['mean'] : []), ...(factor > 0 ? ['momentum'] : [])];
  return {
    slotNames,
    update: (variable, gradient, slots, learningRate) => {
      const square = tf.add(tf.mul(slots.square!, decay), tf.mul(tf.square(gradient), 1 - decay));
      const result: Record<string, Tensor> = { square };
      let variance = square;
      if (centered) {
        result.mean = tf.add(tf.mul(slots.mean!, decay), tf.mul(gradient, 1 - decay));
        variance = tf.sub(square, tf.square(result.mean));
      }
      let change = tf.div(gradient, tf.add(tf.sqrt(variance), epsilon));
      if (factor > 0) {
        result.momentum = tf.add(tf.mul(slots.momentum!, factor), change);
        change = result.momentum;
      }
      return { ...result, variable: tf.sub(variable, tf.mul(change, learningRate)) };
    },
  };
}

/** Scales all gradients so that their global norm is at most `limit`. Replaces the given gradients. */
export function clipByGlobalNorm(gradients: Map<string, Tensor>, limit: number): void {
  const scale = tf.tidy(() => {
    const squares = [...gradients.values()].map((gradient) => tf.sum(tf.square(gradient)));
    const norm = tf.sqrt(tf.addN(squares));
    return tf.minimum(1, tf.div(limit, tf.add(norm, 1e-6)));
  });
  for (const [name, gradient] of gradients) {
    gradients.set(name, tf.mul(gradient, scale));
    gradient.dispose();
  }
  scale.dispose();
}
