/** What layers compute with while they become operators. */
import type { Graph } from './graph.ts';

/** A part that ONNX export does not know, by its name. */
export class UnsupportedLayer extends Error {}

export interface Weight {
  shape: readonly number[];
  data: Float32Array;
}

/**
 * A tensor of the model. Layers see it as TensorFlow has it, channels last; convolutions want their channels first. It is
 * turned when somebody wants the other way, and only once.
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

  /** As the model's own layers have it. */
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

  /** What does the same to each element, whichever way it lies. */
  each(make: (name: string) => string): Value {
    if (this.#last !== null) return new Value(this.#graph, this.rank, make(this.#last), null);
    return new Value(this.#graph, this.rank, null, make(this.#first!));
  }
}
