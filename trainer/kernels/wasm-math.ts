/**
 * Runs the built-in WebAssembly (`math.wat`, `recurrent.wat`) in the memory of TensorFlow.js's own, so that nothing is copied between
 * the two.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { MATH_KERNEL, MATH_KERNEL_SHARED } from './math-kernel.ts';
import { RECURRENT_KERNEL, RECURRENT_KERNEL_SHARED } from './recurrent-kernel.ts';
import type { WasmBackend } from './register.ts';

/** Matrix in the backend's memory: its address, and the distance in bytes between rows and between columns. */
export interface Matrix {
  at: number;
  row: number;
  column: number;
}

/** The gates of LSTMs; `places` are addresses. */
export interface Gates {
  /** Reads z and the carry of a step, and writes the new carry, the output and the gates. */
  lstmForward(rows: number, units: number, hard: 0 | 1, ...places: number[]): void;
  /** Reads gates, carry, and gradients of output and new carry, and writes the gradients of z and the carry. */
  lstmBackward(rows: number, units: number, hard: 0 | 1, ...places: number[]): void;
}

/** Order of the numbers that `adam` takes, with their names in `math.wat`. */
type AdamNumbers = [
  beta1: number,
  rest1: number,
  beta2: number,
  rest2: number,
  rate: number,
  epsilon: number,
  shrink: number,
];

export interface WasmMath extends Gates {
  /** Computes c (m × n, its rows `row` bytes apart) = a (m × k) · b (k × n), or adds that to c. */
  product(m: number, n: number, k: number, a: Matrix, b: Matrix, c: { at: number; row: number }, add: boolean): void;
  /** Adds rows of float32 onto float64. */
  sumRows(from: number, rows: number, width: number, to: number): void;
  sum(from: number, count: number): number;
  /** Adds float32 onto float32. */
  addTo(from: number, to: number, count: number): void;
  /** Adds the gradient of one window of a max pool, in all channels. */
  poolGradient(
    x: number,
    dx: number,
    dy: number,
    rows: number,
    columns: number,
    rowStep: number,
    channels: number,
  ): void;
  /** Makes one update: reads variable, gradient and moments, and writes the new variable and moments. */
  adam(count: number, ...numbers: [...places: number[], ...AdamNumbers]): void;
}

interface Exports extends Omit<WasmMath, 'product'> {
  product(...numbers: number[]): void;
}

interface WebAssemblyClasses {
  Memory: new (pages: { initial: number }) => OwnMemory;
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object, imports: object) => { exports: Exports };
}

// Node's types know WebAssembly only as a namespace.
const { Memory, Module, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyClasses }).WebAssembly;

/** Size of the work area for the panels of a product. */
const WORK_FLOATS = (128 + 65_536 + 262_144) / 4;

/** Makes the functions; call it once for a backend, whose memory may grow but stays the same object. */
export function makeWasmMath(backend: WasmBackend): WasmMath {
  const { asm, wasmMemory } = backend.wasm;
  const memory = wasmMemory ?? asm?.memory;
  if (!memory) throw new Error('the wasm backend has no memory that can be shared');
  const isShared = memory.buffer instanceof SharedArrayBuffer;
  const own = {
    ...instanceOf(isShared ? MATH_KERNEL_SHARED : MATH_KERNEL, memory),
    ...instanceOf(isShared ? RECURRENT_KERNEL_SHARED : RECURRENT_KERNEL, memory),
  };
  const work = addressOf(backend, backend.makeOutput([WORK_FLOATS], 'float32'));
  return {
    ...own,
    product: (m, n, k, a, b, c, add) =>
      own.product(m, n, k, a.at, a.row, a.column, b.at, b.row, b.column, c.at, c.row, add ? 1 : 0, work),
  };
}

interface OwnMemory {
  readonly buffer: ArrayBuffer;
  grow(pages: number): number;
}

/** Makes the gates in a memory of their own, for backends whose tensors are elsewhere. */
export function makeGates(): { gates: Gates; memory: OwnMemory } {
  const memory = new Memory({ initial: 1 });
  return { gates: instanceOf(RECURRENT_KERNEL, memory), memory };
}

function instanceOf(kernel: string, memory: object): Exports {
  return new Instance(new Module(Buffer.from(kernel, 'base64')), { env: { memory } }).exports;
}

/** Returns the address of a tensor's numbers in the backend's memory. */
export function addressOf(backend: WasmBackend, { dataId }: Pick<TensorInfo, 'dataId'>): number {
  return backend.dataIdMap.get(dataId).memoryOffset!;
}

/** Makes a matrix of rows with `columns` float32; if transposed, it is read along its columns. */
export function matrix(at: number, columns: number, transposed: boolean): Matrix {
  return transposed ? { at, row: 4, column: columns * 4 } : { at, row: columns * 4, column: 4 };
}
