/** Values that layers exchange during the conversion. */
import type { Graph } from './graph.ts';

/** Error for a part that ONNX export does not support, with its name. */
export class UnsupportedLayer extends Error {}

export interface Weight {
  shape: readonly number[];
  data: Float32Array;
}

/**
 * Tensor of the model. Layers expect TensorFlow's order, channels last; convolutions need channels first. It is
 * transposed on demand, and only once.
 */
export class Value {
  readonly rank: number;
  readonly #graph: Graph;
  #last: string | null;
  #first: string | null;

  private constructor(graph: Graph, rank: number, last: string | null, first: string | null) {
    this.#graph = graph;
    this.rank = rank;
    this.#last = last;
    this.#first = first;
  }

  static channelsLast(graph: Graph, name: string, rank: number): Value {
    return new Value(graph, rank, name, null);
  }

  static channelsFirst(graph: Graph, name: string, rank: number): Value {
    return new Value(graph, rank, null, name);
  }

  /** Name of the tensor with channels last, as in the model's own layers. */
  get last(): string {
    const inner = Array.from({ length: this.rank - 2 }, (_, i) => i + 2);
    this.#last ??= this.#graph.node('Transpose', [this.#first!], { perm: [0, ...inner, 1] }, `${this.#first!}_last`);
    return this.#last;
  }

  get first(): string {
    const inner = Array.from({ length: this.rank - 2 }, (_, i) => i + 1);
    const perm = [0, this.rank - 1, ...inner];
    this.#first ??= this.#graph.node('Transpose', [this.#last!], { perm }, `${this.#last!}_first`);
    return this.#first;
  }

  /** Applies an element-wise operation, in the present order. */
  each(make: (name: string) => string): Value {
    if (this.#last !== null) return new Value(this.#graph, this.rank, make(this.#last), null);
    return new Value(this.#graph, this.rank, null, make(this.#first!));
  }
}
