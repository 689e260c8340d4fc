/** Builds an ONNX model. Source of the field numbers: onnx/onnx.proto, IR version 8, operator set 17. */
import { Message } from '../protobuf.ts';

const IR_VERSION = 8;
const OPERATOR_SET = 17;
/** Limit of protocol buffers. */
const MAX_BYTES = 2 ** 31 - 1;

export const FLOAT = 1;
export const INT32 = 6;
export const INT64 = 7;
type ElementType = typeof FLOAT | typeof INT32 | typeof INT64;

type Attribute = number | string | readonly number[] | { float: number };

interface Node {
  operator: string;
  inputs: readonly string[];
  outputs: readonly string[];
  message: Message;
}

export class TooLarge extends Error {}

export class Graph {
  readonly #nodes: Node[] = [];
  readonly #constants = new Map<string, Message>();
  readonly #inputs: Message[] = [];
  readonly #outputs: { name: string; message: Message }[] = [];
  readonly #names = new Map<string, number>();
  #bytes = 0;

  /** Returns a unique name in the graph. */
  unique(base: string): string {
    const count = this.#names.get(base) ?? 0;
    this.#names.set(base, count + 1);
    return count === 0 ? base : this.unique(`${base}_${count}`);
  }

  /** Adds a node with one output, whose name it returns. */
  node(
    operator: string,
    inputs: readonly string[],
    attributes: Readonly<Record<string, Attribute>>,
    name: string,
  ): string {
    const output = this.unique(name);
    const message = new Message();
    for (const input of inputs) message.text(1, input);
    message.text(2, output).text(3, output).text(4, operator);
    for (const [key, value] of Object.entries(attributes)) message.message(5, attribute(key, value));
    this.#nodes.push({ operator, inputs, outputs: [output], message });
    return output;
  }

  constant(name: string, shape: readonly number[], data: Float32Array | readonly bigint[]): string {
    const unique = this.unique(name);
    const isFloat = data instanceof Float32Array;
    const message = new Message();
    for (const size of shape) message.integer(1, size);
    const bytes = isFloat ? floatBytes(data) : Buffer.from(BigInt64Array.from(data).buffer);
    message
      .integer(2, isFloat ? FLOAT : INT64)
      .text(8, unique)
      .raw(9, bytes);
    this.#bytes += bytes.length;
    if (this.#bytes > MAX_BYTES)
      throw new TooLarge(`its weights are larger than the ${MAX_BYTES} bytes that an ONNX file can hold`);
    this.#constants.set(unique, message);
    return unique;
  }

  /** Adds an input. A dimension of null has no fixed size. */
  input(name: string, type: ElementType, shape: readonly (number | null)[]): string {
    const unique = this.unique(name);
    this.#inputs.push(valueInfo(unique, type, shape));
    return unique;
  }

  output(tensor: string, name: string, rank: number): void {
    const unique = this.node('Identity', [tensor], {}, name);
    this.#outputs.push({ name: unique, message: valueInfo(unique, FLOAT, new Array(rank).fill(null)) });
  }

  /** Encodes the model; tools show `metadata` as its properties. */
  encode(name: string, metadata: Readonly<Record<string, string>>): Message {
    const graph = new Message();
    const { nodes, constants } = this.#needed();
    for (const { message } of nodes) graph.message(1, message);
    graph.text(2, name);
    for (const constant of constants) graph.message(5, constant);
    for (const input of this.#inputs) graph.message(11, input);
    for (const { message } of this.#outputs) graph.message(12, message);
    const model = new Message().integer(1, IR_VERSION).text(2, 'trainstash').message(7, graph);
    model.message(8, new Message().text(1, '').integer(2, OPERATOR_SET));
    for (const [key, value] of Object.entries(metadata)) model.message(14, new Message().text(1, key).text(2, value));
    return model;
  }

  /** Collects the nodes and constants that an output depends on. */
  #needed(): { nodes: Node[]; constants: Message[] } {
    const wanted = new Set(this.#outputs.map(({ name }) => name));
    const nodes: Node[] = [];
    for (const node of this.#nodes.toReversed()) {
      if (!node.outputs.some((output) => wanted.has(output))) continue;
      nodes.push(node);
      for (const input of node.inputs) wanted.add(input);
    }
    const constants = [...this.#constants].flatMap(([name, message]) => (wanted.has(name) ? [message] : []));
    return { nodes: nodes.reverse(), constants };
  }
}

function floatBytes(data: Float32Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function attribute(name: string, value: Attribute): Message {
  const message = new Message().text(1, name);
  if (typeof value === 'string') return message.text(4, value).integer(20, 3);
  if (typeof value === 'number') return message.integer(3, value).integer(20, 2);
  if ('float' in value) return message.float(2, value.float).integer(20, 1);
  for (const one of value) message.integer(8, one);
  return message.integer(20, 7);
}

function valueInfo(name: string, type: ElementType, shape: readonly (number | null)[]): Message {
  const dimensions = new Message();
  shape.forEach((size, i) => {
    const word = i === 0 ? 'batch' : `${name}_${i}`;
    dimensions.message(1, size === null ? new Message().text(2, word) : new Message().integer(1, size));
  });
  const tensor = new Message().integer(1, type).message(2, dimensions);
  return new Message().text(1, name).message(2, new Message().message(1, tensor));
}
