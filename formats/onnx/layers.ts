/**
 * Converts layers of a Keras topology, as TensorFlow.js saves it, to ONNX operators. Refuses unsupported layers by
 * name.
 */
import { activate, clip, scalar } from './activations.ts';
import { type Graph, INT64 } from './graph.ts';
import { UnsupportedLayer, Value, type Weight } from './values.ts';

export interface Layer {
  /** Unique name in the model, nested models included. */
  name: string;
  type: string;
  config: Readonly<Record<string, unknown>>;
  /** Weights by the last part of their names: kernel, bias, gamma, … */
  weights: Readonly<Record<string, Weight>>;
}

type Convert = (graph: Graph, layer: Layer, inputs: readonly Value[]) => Value;

export function convertLayer(graph: Graph, layer: Layer, inputs: readonly Value[]): Value {
  const convert = CONVERT[layer.type];
  if (!convert) throw new UnsupportedLayer(`${layer.type} ("${layer.name}")`);
  return convert(graph, layer, inputs);
}

const same: Convert = (_graph, _layer, [x]) => x!;

const CONVERT: Readonly<Record<string, Convert>> = {
  Dense(graph, layer, [x]) {
    const product = graph.node('MatMul', [x!.last, weight(graph, layer, 'kernel')], {}, `${layer.name}_product`);
    return finish(graph, layer, Value.channelsLast(graph, biased(graph, layer, product), x!.rank));
  },
  Conv1D: (graph, layer, [x]) => convolution(graph, layer, x!, 1),
  Conv2D: (graph, layer, [x]) => convolution(graph, layer, x!, 2),
  DepthwiseConv2D: (graph, layer, [x]) => finish(graph, layer, depthwise(graph, layer, x!, 'bias')),
  SeparableConv2D(graph, layer, [x]) {
    const middle = depthwise(graph, layer, x!, null);
    const { shape, data } = weightNamed(layer, 'pointwise_kernel');
    const kernel = constant(graph, `${layer.name}_pointwise`, transposed(shape, data, [3, 2, 0, 1]));
    const output = graph.node('Conv', withBias(graph, layer, [middle.first, kernel], 'bias'), {}, layer.name);
    return finish(graph, layer, Value.channelsFirst(graph, output, 4));
  },
  Conv2DTranspose(graph, layer, [x]) {
    onlyChannelsLast(layer);
    const { shape, data } = weightNamed(layer, 'kernel');
    const [strides, dilations] = [sizes(layer, 'strides', 2), sizes(layer, 'dilation_rate', 2)];
    if (dilations.some((one) => one !== 1)) throw new UnsupportedLayer(`dilation of "${layer.name}"`);
    const isSame = layer.config.padding === 'same';
    // For "same" TensorFlow's output is input × stride, cut at both ends like the padding of the forward convolution.
    const cuts = shape.slice(0, 2).map((size, i) => (isSame ? size! - strides[i]! : 0));
    const pads = cuts.map((cut) => Math.floor(Math.max(0, cut) / 2));
    const ends = cuts.map((cut, i) => Math.max(0, cut) - pads[i]!);
    const attributes = {
      strides,
      pads: [...pads, ...ends],
      // Where the stride is larger than the kernel the ends have no values.
      output_padding: shape.slice(0, 2).map((size, i) => Math.max(0, strides[i]! - size)),
    };
    const kernel = constant(graph, `${layer.name}_kernel`, transposed(shape, data, [3, 2, 0, 1]));
    const output = graph.node(
      'ConvTranspose',
      withBias(graph, layer, [x!.first, kernel], 'bias'),
      attributes,
      layer.name,
    );
    return finish(graph, layer, Value.channelsFirst(graph, output, 4));
  },
  MaxPooling1D: (graph, layer, [x]) => pooling(graph, layer, x!, 'MaxPool', 1),
  MaxPooling2D: (graph, layer, [x]) => pooling(graph, layer, x!, 'MaxPool', 2),
  AveragePooling1D: (graph, layer, [x]) => pooling(graph, layer, x!, 'AveragePool', 1),
  AveragePooling2D: (graph, layer, [x]) => pooling(graph, layer, x!, 'AveragePool', 2),
  GlobalMaxPooling1D: (graph, layer, [x]) => reduction(graph, layer, x!, 'ReduceMax', [1]),
  GlobalMaxPooling2D: (graph, layer, [x]) => reduction(graph, layer, x!, 'ReduceMax', [1, 2]),
  GlobalAveragePooling1D: (graph, layer, [x]) => reduction(graph, layer, x!, 'ReduceMean', [1]),
  GlobalAveragePooling2D: (graph, layer, [x]) => reduction(graph, layer, x!, 'ReduceMean', [1, 2]),
  BatchNormalization(graph, layer, [x]) {
    onlyLastAxis(layer, x!.rank);
    const { data: mean } = weightNamed(layer, 'moving_mean');
    const { data: variance } = weightNamed(layer, 'moving_variance');
    const epsilon = Number(layer.config.epsilon ?? 1e-3);
    const scale = Float32Array.from(
      variance,
      (one, i) => (layer.weights.gamma?.data[i] ?? 1) / Math.sqrt(one + epsilon),
    );
    const shift = Float32Array.from(mean, (one, i) => (layer.weights.beta?.data[i] ?? 0) - one * scale[i]!);
    const scaled = graph.node(
      'Mul',
      [x!.last, graph.constant(`${layer.name}_scale`, [mean.length], scale)],
      {},
      `${layer.name}_scaled`,
    );
    const output = graph.node(
      'Add',
      [scaled, graph.constant(`${layer.name}_shift`, [mean.length], shift)],
      {},
      layer.name,
    );
    return Value.channelsLast(graph, output, x!.rank);
  },
  LayerNormalization(graph, layer, [x]) {
    onlyLastAxis(layer, x!.rank);
    const size = (layer.weights.gamma ?? layer.weights.beta)?.shape[0];
    if (size === undefined) throw new UnsupportedLayer(`LayerNormalization without scale and centre ("${layer.name}")`);
    const filled = (name: string, value: number) =>
      graph.constant(`${layer.name}_${name}`, [size], layer.weights[name]?.data ?? new Float32Array(size).fill(value));
    const epsilon = { float: Number(layer.config.epsilon ?? 1e-3) };
    const inputs = [x!.last, filled('gamma', 1), filled('beta', 0)];
    const output = graph.node('LayerNormalization', inputs, { axis: -1, epsilon }, layer.name);
    return Value.channelsLast(graph, output, x!.rank);
  },
  Activation: (graph, layer, [x]) => activate(graph, layer.config.activation, x!, layer.name),
  ReLU: (graph, layer, [x]) =>
    x!.each((input) => clip(graph, input, 0, numberOrNull(layer.config.max_value), layer.name)),
  LeakyReLU: (graph, layer, [x]) =>
    x!.each((input) =>
      graph.node('LeakyRelu', [input], { alpha: { float: Number(layer.config.alpha ?? 0.3) } }, layer.name),
    ),
  ELU: (graph, layer, [x]) =>
    x!.each((input) => graph.node('Elu', [input], { alpha: { float: Number(layer.config.alpha ?? 1) } }, layer.name)),
  ThresholdedReLU: (graph, layer, [x]) =>
    x!.each((input) =>
      graph.node('ThresholdedRelu', [input], { alpha: { float: Number(layer.config.theta ?? 1) } }, layer.name),
    ),
  PReLU(graph, layer, [x]) {
    const output = graph.node('PRelu', [x!.last, weight(graph, layer, 'alpha')], {}, layer.name);
    return Value.channelsLast(graph, output, x!.rank);
  },
  Softmax(graph, layer, [x]) {
    const output = graph.node('Softmax', [x!.last], { axis: Number(layer.config.axis ?? -1) }, layer.name);
    return Value.channelsLast(graph, output, x!.rank);
  },
  // Only training drops units.
  Dropout: same,
  SpatialDropout1D: same,
  AlphaDropout: same,
  GaussianDropout: same,
  GaussianNoise: same,
  Flatten(graph, layer, [x]) {
    onlyChannelsLast(layer);
    return Value.channelsLast(graph, graph.node('Flatten', [x!.last], { axis: 1 }, layer.name), 2);
  },
  Reshape(graph, layer, [x]) {
    // An inferred size is null in Keras, and −1 in ONNX.
    const target = (layer.config.target_shape as (number | null)[]).map((size) => size ?? -1);
    // 0 keeps the input's size: the batch.
    const shape = graph.constant(`${layer.name}_shape`, [target.length + 1], [0n, ...target.map(BigInt)]);
    return Value.channelsLast(graph, graph.node('Reshape', [x!.last, shape], {}, layer.name), target.length + 1);
  },
  Permute(graph, layer, [x]) {
    const perm = [0, ...numbers(layer, 'dims')];
    return Value.channelsLast(graph, graph.node('Transpose', [x!.last], { perm }, layer.name), x!.rank);
  },
  Concatenate(graph, layer, inputs) {
    const axis = Number(layer.config.axis ?? -1);
    const output = graph.node(
      'Concat',
      inputs.map(({ last }) => last),
      { axis },
      layer.name,
    );
    return Value.channelsLast(graph, output, inputs[0]!.rank);
  },
  Add: (graph, layer, inputs) => merged(graph, layer, inputs, 'Sum'),
  Average: (graph, layer, inputs) => merged(graph, layer, inputs, 'Mean'),
  Maximum: (graph, layer, inputs) => merged(graph, layer, inputs, 'Max'),
  Minimum: (graph, layer, inputs) => merged(graph, layer, inputs, 'Min'),
  Multiply(graph, layer, inputs) {
    const [first, ...others] = inputs.map(({ last }) => last);
    const output = others.reduce((product, other) => graph.node('Mul', [product, other], {}, layer.name), first!);
    return Value.channelsLast(graph, output, inputs[0]!.rank);
  },
  Embedding(graph, layer, [x]) {
    if (layer.config.mask_zero) throw new UnsupportedLayer(`the mask of Embedding ("${layer.name}")`);
    const indices = graph.node('Cast', [x!.last], { to: INT64 }, `${layer.name}_indices`);
    const output = graph.node('Gather', [weight(graph, layer, 'embeddings'), indices], { axis: 0 }, layer.name);
    return Value.channelsLast(graph, output, x!.rank + 1);
  },
  ZeroPadding2D(graph, layer, [x]) {
    onlyChannelsLast(layer);
    const padding = layer.config.padding as number | [number, number] | [[number, number], [number, number]];
    const [rows, columns] = [padding].flat().length === 1 ? [padding, padding] : (padding as [unknown, unknown]);
    const [top, bottom] = [rows, rows].flat().slice(0, 2) as [number, number];
    const [left, right] = [columns, columns].flat().slice(0, 2) as [number, number];
    const pads = graph.constant(`${layer.name}_pads`, [8], [0, top, left, 0, 0, bottom, right, 0].map(BigInt));
    const output = graph.node('Pad', [x!.last, pads, scalar(graph, 0, `${layer.name}_zero`)], {}, layer.name);
    return Value.channelsLast(graph, output, 4);
  },
};

function convolution(graph: Graph, layer: Layer, x: Value, dimensions: 1 | 2): Value {
  onlyChannelsLast(layer);
  const { shape, data } = weightNamed(layer, 'kernel');
  const kernel = transposed(shape, data, dimensions === 1 ? [2, 1, 0] : [3, 2, 0, 1]);
  const inputs = withBias(graph, layer, [x.first, constant(graph, `${layer.name}_kernel`, kernel)], 'bias');
  const output = graph.node('Conv', inputs, windowOf(layer, shape.slice(0, dimensions)), layer.name);
  return finish(graph, layer, Value.channelsFirst(graph, output, dimensions + 2));
}

function depthwise(graph: Graph, layer: Layer, x: Value, bias: string | null): Value {
  onlyChannelsLast(layer);
  const { shape, data } = weightNamed(layer, 'depthwise_kernel');
  const [height, width, channels, multiplier] = shape as [number, number, number, number];
  const kernel = { shape: [channels * multiplier, 1, height, width], data: transposed(shape, data, [2, 3, 0, 1]).data };
  const attributes = { ...windowOf(layer, [height, width]), group: channels };
  const inputs = withBias(graph, layer, [x.first, constant(graph, `${layer.name}_depthwise`, kernel)], bias);
  const output = graph.node('Conv', inputs, attributes, bias === null ? `${layer.name}_middle` : layer.name);
  return Value.channelsFirst(graph, output, 4);
}

/** Returns strides, dilations and padding of a convolution. */
function windowOf(layer: Layer, kernel: readonly number[]) {
  const strides = sizes(layer, 'strides', kernel.length);
  const dilations = sizes(layer, 'dilation_rate', kernel.length);
  const { padding } = layer.config;
  const common = { strides, dilations, kernel_shape: kernel };
  if (padding === 'same') {
    // With a stride of one the padding does not depend on the size; with dilations, runtimes support no other way.
    if (strides.some((stride) => stride !== 1)) return { ...common, auto_pad: 'SAME_UPPER' };
    const total = kernel.map((size, i) => dilations[i]! * (size - 1));
    const begin = total.map((size) => Math.floor(size / 2));
    return { ...common, pads: [...begin, ...total.map((size, i) => size - begin[i]!)] };
  }
  if (padding !== 'valid') throw new UnsupportedLayer(`padding ${JSON.stringify(padding)} of "${layer.name}"`);
  return common;
}

function pooling(graph: Graph, layer: Layer, x: Value, operator: string, dimensions: 1 | 2): Value {
  onlyChannelsLast(layer);
  const kernel = sizes(layer, 'pool_size', dimensions);
  const attributes = {
    kernel_shape: kernel,
    strides: layer.config.strides == null ? kernel : sizes(layer, 'strides', dimensions),
    ...(layer.config.padding === 'same' ? { auto_pad: 'SAME_UPPER' } : {}),
  };
  return Value.channelsFirst(graph, graph.node(operator, [x.first], attributes, layer.name), dimensions + 2);
}

function reduction(graph: Graph, layer: Layer, x: Value, operator: string, axes: readonly number[]): Value {
  onlyChannelsLast(layer);
  return Value.channelsLast(graph, graph.node(operator, [x.last], { axes, keepdims: 0 }, layer.name), 2);
}

function merged(graph: Graph, layer: Layer, inputs: readonly Value[], operator: string): Value {
  const output = graph.node(
    operator,
    inputs.map(({ last }) => last),
    {},
    layer.name,
  );
  return Value.channelsLast(graph, output, Math.max(...inputs.map(({ rank }) => rank)));
}

/** Applies the layer's own activation. */
function finish(graph: Graph, layer: Layer, x: Value): Value {
  return activate(graph, layer.config.activation, x, layer.name);
}

function biased(graph: Graph, layer: Layer, x: string): string {
  if (!layer.weights.bias) return x;
  return graph.node('Add', [x, weight(graph, layer, 'bias')], {}, layer.name);
}

function withBias(graph: Graph, layer: Layer, inputs: readonly string[], bias: string | null): string[] {
  return bias !== null && layer.weights[bias] ? [...inputs, weight(graph, layer, bias)] : [...inputs];
}

function weightNamed(layer: Layer, name: string): Weight {
  const one = layer.weights[name];
  if (!one) throw new UnsupportedLayer(`${layer.type} without its ${name} ("${layer.name}")`);
  return one;
}

function weight(graph: Graph, layer: Layer, name: string): string {
  return constant(graph, `${layer.name}_${name}`, weightNamed(layer, name));
}

function constant(graph: Graph, name: string, { shape, data }: Weight): string {
  return graph.constant(name, shape, data);
}

function onlyChannelsLast({ config, type, name }: Layer): void {
  if (config.data_format === 'channels_first') throw new UnsupportedLayer(`${type} with channels first ("${name}")`);
}

/** Refuses other axes: for them TensorFlow.js's own kernels compute wrong numbers. */
function onlyLastAxis({ config, type, name }: Layer, rank: number): void {
  const axes = [config.axis ?? -1].flat().map(Number);
  if (axes.length !== 1 || (axes[0] !== -1 && axes[0] !== rank - 1))
    throw new UnsupportedLayer(`${type} over another axis than the last ("${name}")`);
}

function sizes(layer: Layer, key: string, count: number): number[] {
  const value = layer.config[key] ?? 1;
  const list = [value].flat().map(Number);
  return list.length === count ? list : Array.from({ length: count }, () => list[0]!);
}

function numbers(layer: Layer, key: string): number[] {
  return (layer.config[key] as number[]).map(Number);
}

function numberOrNull(value: unknown): number | null {
  return value == null ? null : Number(value);
}

/** Transposes a weight. */
function transposed(shape: readonly number[], data: Float32Array, order: readonly number[]): Weight {
  const steps = shape.map((_, i) => shape.slice(i + 1).reduce((a, b) => a * b, 1));
  const out = new Float32Array(data.length);
  const target = order.map((dimension) => shape[dimension]!);
  const index = new Array<number>(order.length).fill(0);
  let from = 0;
  for (let to = 0; to < out.length; to++) {
    out[to] = data[from]!;
    for (let d = order.length - 1; d >= 0; d--) {
      from += steps[order[d]!]!;
      if (++index[d]! < target[d]!) break;
      from -= steps[order[d]!]! * target[d]!;
      index[d] = 0;
    }
  }
  return { shape: target, data: out };
}
