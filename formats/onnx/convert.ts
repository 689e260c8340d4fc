/** Converts a layers model to ONNX, from its topology, as TensorFlow.js saves it, and its weights. */
import type { Message } from '../protobuf.ts';
import { FLOAT, Graph, INT32 } from './graph.ts';
import { convertLayer, type Layer } from './layers.ts';
import { UnsupportedLayer, Value, type Weight } from './values.ts';

/** Result of `model.toJSON(null, false)`. */
export interface Topology {
  class_name: string;
  config: Readonly<Record<string, unknown>>;
}

interface LayerSpec extends Topology {
  name?: string;
  /** Inputs of each use: layer, use and output. */
  inbound_nodes?: [string, number, number, ...unknown[]][][];
}

/** Returns a layer's weights; layers inside a nested model are called `outer/inner`. */
export type WeightsOf = (path: string) => Readonly<Record<string, Weight>>;

/** Converts a model. Throws UnsupportedLayer, which names all unsupported parts. */
export function toOnnx(topology: Topology, weightsOf: WeightsOf, metadata: Readonly<Record<string, string>>): Message {
  const graph = new Graph();
  const context: Context = { graph, weightsOf, problems: [] };
  const outputs = convertModel(context, topology, '', null);
  if (context.problems.length > 0) throw new UnsupportedLayer([...new Set(context.problems)].join(', '));
  for (const [i, { last, rank }] of outputs.entries()) graph.output(last, i === 0 ? 'output' : `output_${i + 1}`, rank);
  return graph.encode(String(topology.config.name ?? 'model'), metadata);
}

interface Context {
  graph: Graph;
  weightsOf: WeightsOf;
  /** All unsupported parts, so that the user learns of them together. */
  problems: string[];
}

/** Converts a model; `inputs` null: the whole model, whose inputs become the graph's. */
function convertModel(
  context: Context,
  { class_name: type, config }: Topology,
  path: string,
  inputs: readonly Value[] | null,
): Value[] {
  return type === 'Sequential'
    ? convertSequence(context, config, path, inputs)
    : convertNetwork(context, config, path, inputs);
}

function convertSequence(
  context: Context,
  config: Topology['config'],
  path: string,
  inputs: readonly Value[] | null,
): Value[] {
  const layers = config.layers as LayerSpec[];
  let values = inputs;
  for (const [i, layer] of layers.entries()) {
    if (layer.class_name === 'InputLayer') {
      values ??= [graphInput(context.graph, layer.config, `${path}${nameOf(layer)}`)];
      continue;
    }
    values ??= [graphInput(context.graph, firstInput(layer), `input${i === 0 ? '' : i}`)];
    values = convertOne(context, layer, path, values);
  }
  return [...(values ?? [])];
}

function convertNetwork(
  context: Context,
  config: Topology['config'],
  path: string,
  inputs: readonly Value[] | null,
): Value[] {
  const layers = config.layers as LayerSpec[];
  const done = new Map<string, Value[]>();
  const inputNames = (config.input_layers as [string, number, number][]).map(([name]) => name);
  const get = ([name, use, output]: readonly [string, number, number, ...unknown[]]): Value | undefined =>
    done.get(`${name}:${use}`)?.[output];
  for (const layer of layers) {
    if (layer.class_name !== 'InputLayer') continue;
    const name = nameOf(layer);
    const given = inputs?.[inputNames.indexOf(name)];
    done.set(`${name}:0`, [given ?? graphInput(context.graph, layer.config, `${path}${name}`)]);
  }
  // A layer may be used again on outputs of layers that come after it.
  let open = layers.flatMap((layer) => (layer.inbound_nodes ?? []).map((from, use) => ({ layer, from, use })));
  open = open.filter(({ layer }) => layer.class_name !== 'InputLayer');
  while (open.length > 0) {
    const ready = open.filter(({ from }) => from.every((one) => get(one)));
    if (ready.length === 0) throw new UnsupportedLayer('layers that wait for each other');
    for (const { layer, from, use } of ready)
      done.set(
        // A model was used once when it was made: that use is counted, but not listed.
        `${nameOf(layer)}:${Array.isArray(layer.config.layers) ? use + 1 : use}`,
        convertOne(
          context,
          layer,
          path,
          from.map((one) => get(one)!),
        ),
      );
    open = open.filter((one) => !ready.includes(one));
  }
  return (config.output_layers as [string, number, number][]).map((one) => get(one)!);
}

function convertOne(context: Context, layer: LayerSpec, path: string, inputs: readonly Value[]): Value[] {
  const { graph, weightsOf, problems } = context;
  const name = `${path}${nameOf(layer)}`;
  if (Array.isArray(layer.config.layers)) return convertModel(context, layer, `${name}/`, inputs);
  const whole: Layer = { name, type: layer.class_name, config: layer.config, weights: weightsOf(name) };
  try {
    return [convertLayer(graph, whole, inputs)];
  } catch (error) {
    if (!(error instanceof UnsupportedLayer)) throw error;
    problems.push(error.message);
    // A substitute, so that the other layers are checked, too.
    return [...inputs];
  }
}

function nameOf(layer: LayerSpec): string {
  return layer.name ?? String(layer.config.name);
}

function firstInput(layer: LayerSpec): Topology['config'] {
  if (Array.isArray(layer.config.layers)) return firstInput((layer.config.layers as LayerSpec[])[0]!);
  return layer.config;
}

function graphInput(graph: Graph, config: Topology['config'], name: string): Value {
  const shape = config.batch_input_shape as (number | null)[] | undefined;
  if (!shape) throw new UnsupportedLayer(`an input without a shape ("${name}")`);
  const type = config.dtype === 'int32' ? INT32 : FLOAT;
  return Value.channelsLast(graph, graph.input(name, type, shape), shape.length);
}
