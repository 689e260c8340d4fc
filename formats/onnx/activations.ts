/** Converts activation functions to operators, with the meaning of TensorFlow.js (`activations.ts` of tfjs-layers). */
import type { Graph } from './graph.ts';
import { UnsupportedLayer, Value } from './values.ts';

type Make = (graph: Graph, x: string, name: string) => string;

function operator(type: string, attributes: Parameters<Graph['node']>[2] = {}): Make {
  return (graph, x, name) => graph.node(type, [x], attributes, name);
}

export function scalar(graph: Graph, value: number, name: string): string {
  return graph.constant(name, [], Float32Array.of(value));
}

export function clip(graph: Graph, x: string, min: number | null, max: number | null, name: string): string {
  const bounds = [min, max].map((bound, i) =>
    bound === null ? '' : scalar(graph, bound, `${name}_${i ? 'max' : 'min'}`),
  );
  return graph.node('Clip', [x, ...(bounds[1] === '' ? bounds.slice(0, 1) : bounds)], {}, name);
}

/** Activations of single elements. */
const ELEMENTWISE: Readonly<Record<string, Make>> = {
  linear: (_, x) => x,
  relu: operator('Relu'),
  relu6: (graph, x, name) => clip(graph, x, 0, 6, name),
  elu: operator('Elu', { alpha: { float: 1 } }),
  selu: operator('Selu'),
  sigmoid: operator('Sigmoid'),
  hard_sigmoid: operator('HardSigmoid', { alpha: { float: 0.2 }, beta: { float: 0.5 } }),
  tanh: operator('Tanh'),
  softplus: operator('Softplus'),
  softsign: operator('Softsign'),
  swish: (graph, x, name) => graph.node('Mul', [x, graph.node('Sigmoid', [x], {}, `${name}_gate`)], {}, name),
  mish(graph, x, name) {
    const plus = graph.node('Softplus', [x], {}, `${name}_plus`);
    return graph.node('Mul', [x, graph.node('Tanh', [plus], {}, `${name}_gate`)], {}, name);
  },
  gelu(graph, x, name) {
    const scaled = graph.node('Mul', [x, scalar(graph, Math.SQRT1_2, `${name}_scale`)], {}, `${name}_scaled`);
    const erf = graph.node('Erf', [scaled], {}, `${name}_erf`);
    return halfOfOnePlus(graph, x, erf, name);
  },
  gelu_new(graph, x, name) {
    const cube = graph.node('Pow', [x, scalar(graph, 3, `${name}_three`)], {}, `${name}_cube`);
    const small = graph.node('Mul', [cube, scalar(graph, 0.044715, `${name}_factor`)], {}, `${name}_small`);
    const sum = graph.node('Add', [x, small], {}, `${name}_sum`);
    const inner = graph.node('Mul', [sum, scalar(graph, Math.sqrt(2 / Math.PI), `${name}_root`)], {}, `${name}_inner`);
    return halfOfOnePlus(graph, x, graph.node('Tanh', [inner], {}, `${name}_tanh`), name);
  },
};

/** Activations along the last axis. */
const LAST_AXIS: Readonly<Record<string, Make>> = {
  softmax: operator('Softmax', { axis: -1 }),
  log_softmax: operator('LogSoftmax', { axis: -1 }),
};

function halfOfOnePlus(graph: Graph, x: string, y: string, name: string): string {
  const gate = graph.node('Add', [y, scalar(graph, 1, `${name}_one`)], {}, `${name}_gate`);
  const product = graph.node('Mul', [x, gate], {}, `${name}_product`);
  return graph.node('Mul', [product, scalar(graph, 0.5, `${name}_half`)], {}, name);
}

/** Applies an activation; the name is that of a layer's config, none means `linear`. Throws UnsupportedLayer. */
export function activate(graph: Graph, activation: unknown, x: Value, layer: string): Value {
  const known = activation ?? 'linear';
  const each = typeof known === 'string' ? ELEMENTWISE[known] : undefined;
  if (each) return x.each((input) => each(graph, input, `${layer}_${String(known)}`));
  const along = typeof known === 'string' ? LAST_AXIS[known] : undefined;
  if (!along) throw new UnsupportedLayer(`activation ${JSON.stringify(known)} of "${layer}"`);
  return Value.channelsLast(graph, along(graph, x.last, `${layer}_${String(known)}`), x.rank);
}
