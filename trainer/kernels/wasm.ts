/**
 * Replacements for wasm kernels that upstream (4.22.0) lacks, gets wrong, or computes imprecisely or slowly. With these
 * every kernel check agrees with the cpu backend; each replacement has a test that fails without it.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { ADAM_KERNEL, type AdamAttributes } from '../optimizers.ts';
import { tf } from '../tf.ts';
import { LSTM_STEP, LSTM_STEP_GRADIENT, useLstmStep } from './lstm.ts';
import { lstmBackward, lstmForward } from './lstm-wasm.ts';
import {
  callKernel,
  type Kernel,
  type KernelCall,
  type Replacement,
  replaceKernel,
  viaCpu,
  type WasmBackend,
} from './register.ts';
import { conv2dBackpropFilter, conv2dBackpropInput, maxPoolGrad } from './wasm-convolution.ts';
import { addressOf, makeWasmMath, matrix, type WasmMath } from './wasm-math.ts';

interface WasmReplacement extends Omit<Replacement, 'make'> {
  make(upstream: Kernel, math: WasmMath): Kernel;
}

export const replacements: readonly WasmReplacement[] = [
  {
    name: 'MaxPoolGrad',
    why: 'wrong for windows without a positive value: upstream starts its maximum at numeric_limits<float>::min()',
    make: (_, math) => maxPoolGrad(math),
  },
  { name: 'Conv3DBackpropInputV2', why: 'wrong: relative error about 1', make: () => viaCpu('Conv3DBackpropInputV2') },
  { name: 'MaxPool3DGrad', why: 'wrong in the same way as MaxPoolGrad', make: () => viaCpu('MaxPool3DGrad') },
  {
    name: 'Sum',
    why: 'adds up naively in float32: relative error 1e-5 at a million elements',
    make: (upstream, math) => reduction(upstream, math, false),
  },
  {
    name: 'Mean',
    why: 'adds up naively in float32, like Sum',
    make: (upstream, math) => reduction(upstream, math, true),
  },
  {
    name: 'BatchMatMul',
    why: 'slow: with a transpose flag a naive loop (512³: 218 ms), without one XNNPACK, which packs anew each time (half as fast as ours)',
    make: (upstream, math) => batchMatMul(upstream, math),
  },
  { name: 'Conv2DBackpropFilter', why: 'missing', make: (_, math) => conv2dBackpropFilter(math) },
  {
    name: 'Conv2DBackpropInput',
    why: 'slow: a naive loop, six times as long as a product and its scattering',
    make: (upstream, math) => conv2dBackpropInput(upstream, math),
  },
  {
    name: 'Tile',
    why: 'slow: 33 ms for the 700,000 elements of a batch norm’s gradient',
    make: (upstream) => tile(upstream),
  },
  {
    name: ADAM_KERNEL,
    why: 'missing: one pass over the memory instead of twelve, with the same bits',
    make: (_, math) => adam(math) as unknown as Kernel,
  },
  {
    name: LSTM_STEP,
    why: 'missing: one operation instead of some twenty, whose bookkeeping took longer than their arithmetic',
    make: (_, math) => lstmForward(math) as unknown as Kernel,
  },
  {
    name: LSTM_STEP_GRADIENT,
    why: 'missing, like its step',
    make: (_, math) => lstmBackward(math) as unknown as Kernel,
  },
  { name: 'Identity', why: 'copies: 212 ms for 120 MB, at each reshape of a gradient', make: () => identity },
  { name: 'UnsortedSegmentSum', why: 'missing; gradient of gather and embeddings', make: () => unsortedSegmentSum },
];

/** Installs the kernels; call it once, after the wasm and cpu backends are registered. */
export function installWasmKernels(): void {
  const known = new Set(tf.getKernelsForBackend('wasm').map(({ kernelName }) => kernelName));
  const ours = new Set(replacements.map(({ name }) => name));
  for (const { kernelName } of tf.getKernelsForBackend('cpu')) {
    if (known.has(kernelName) || ours.has(kernelName)) continue;
    replaceKernel('wasm', { name: kernelName, why: 'missing', make: () => viaCpu(kernelName) });
  }
  const math = makeWasmMath(tf.backend() as unknown as WasmBackend);
  for (const { make, ...replacement } of replacements)
    replaceKernel('wasm', { ...replacement, make: (upstream: Kernel) => make(upstream, math) });
  useLstmStep();
}

/** Computes long float32 sums over leading or trailing axes in double precision; leaves all others to upstream. */
function reduction(upstream: Kernel, math: WasmMath, mean: boolean): Kernel {
  const LONG = 512;
  return (call) => {
    const x = call.inputs.x!;
    const { axis, keepDims } = call.attrs;
    const { backend } = call;
    const rank = x.shape.length;
    const axes = tf.util.parseAxisParam(axis, x.shape).sort((a, b) => a - b);
    const length = axes.reduce((product, i) => product * x.shape[i]!, 1);
    const leading = axes.every((value, i) => value === i);
    const trailing = axes.every((value, i) => value === rank - axes.length + i);
    if (x.dtype !== 'float32' || length < LONG || !(leading || trailing)) return upstream(call);
    const outShape = x.shape.flatMap((size, i) => (axes.includes(i) ? (keepDims ? [1] : []) : [size]));
    const width = tf.util.sizeFromShape(outShape);
    const output = backend.makeOutput(outShape, 'float32');
    const divisor = mean ? length : 1;
    if (trailing) {
      const from = addressOf(backend, x);
      const out = backend.typedArrayFromHeap(output);
      for (let i = 0; i < width; i++) out[i] = math.sum(from + i * length * 4, length) / divisor;
      return output;
    }
    const sums = backend.makeOutput([width * 2], 'float32');
    // After makeOutput, which may grow the memory and so detach earlier views.
    const view = backend.typedArrayFromHeap(sums);
    const doubles = new Float64Array(view.buffer, view.byteOffset, width).fill(0);
    math.sumRows(addressOf(backend, x), length, width, addressOf(backend, sums));
    const out = backend.typedArrayFromHeap(output);
    for (let i = 0; i < width; i++) out[i] = doubles[i]! / divisor;
    backend.disposeData(sums.dataId);
    return output;
  };
}

function batchMatMul(upstream: Kernel, math: WasmMath): Kernel {
  return (call) => {
    const { inputs, attrs, backend } = call;
    const { a, b } = inputs as { a: TensorInfo; b: TensorInfo };
    const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
    const [outerA, outerB] = [a, b].map(({ shape }) => shape.slice(0, -2)) as [number[], number[]];
    const [batchA, batchB] = [outerA, outerB].map((shape) => tf.util.sizeFromShape(shape)) as [number, number];
    const [rowsA, columnsA] = a.shape.slice(-2) as [number, number];
    const [rowsB, columnsB] = b.shape.slice(-2) as [number, number];
    const [m, k] = transposeA ? [columnsA, rowsA] : [rowsA, columnsA];
    const [n, kB] = transposeB ? [rowsB, columnsB] : [columnsB, rowsB];
    const isFloat = a.dtype === 'float32' && b.dtype === 'float32' && !a.shape.includes(0) && !b.shape.includes(0);
    const isOneForAll = a.shape.length === b.shape.length && (batchA === 1 || batchB === 1);
    // Upstream reports wrong shapes, and handles all other ways of stretching batches.
    if (!isFloat || k !== kB || !(isOneForAll || tf.util.arraysEqual(outerA, outerB)))
      return transposeFirst(upstream, call);
    const outer = batchA === 1 ? outerB : outerA;
    const output = backend.makeOutput([...outer, m, n], 'float32');
    const [fromA, fromB, to] = [a, b, output].map((tensor) => addressOf(backend, tensor)) as [number, number, number];
    for (let i = 0; i < Math.max(batchA, batchB); i++) {
      const left = matrix(fromA + (batchA === 1 ? 0 : i * m * k * 4), columnsA, transposeA);
      const right = matrix(fromB + (batchB === 1 ? 0 : i * k * n * 4), columnsB, transposeB);
      math.product(m, n, k, left, right, { at: to + i * m * n * 4, row: n * 4 }, false);
    }
    return output;
  };
}

function transposeFirst(upstream: Kernel, { inputs, attrs, backend }: KernelCall): TensorInfo {
  const temporary: TensorInfo[] = [];
  const transposed = (x: TensorInfo, wanted: boolean): TensorInfo => {
    if (!wanted) return x;
    const rank = x.shape.length;
    const perm = [...x.shape.keys()];
    perm[rank - 1] = rank - 2;
    perm[rank - 2] = rank - 1;
    const result = callKernel('Transpose', backend, { x }, { perm });
    temporary.push(result);
    return result;
  };
  const a = transposed(inputs.a!, attrs.transposeA);
  const b = transposed(inputs.b!, attrs.transposeB);
  const output = upstream({ inputs: { a, b }, attrs: { transposeA: false, transposeB: false }, backend });
  for (const { dataId } of temporary) backend.disposeData(dataId);
  return output;
}

/**
 * Repeats only whole tensors along leading axes, as gradients of means and sums need; leaves all others to upstream.
 */
function tile(upstream: Kernel): Kernel {
  return (call) => {
    const { inputs, attrs, backend } = call;
    const x = inputs.x!;
    const { reps } = attrs as { reps: number[] };
    // Axes before the first one longer than 1 repeat the whole tensor, one copy after another.
    const first = x.shape.findIndex((size) => size > 1);
    const ends = first < 0 ? x.shape.length : first;
    if (x.dtype !== 'float32' || x.shape.includes(0) || reps.slice(ends).some((count) => count !== 1))
      return upstream(call);
    const output = backend.makeOutput(
      x.shape.map((size, i) => size * reps[i]!),
      'float32',
    );
    const out = backend.typedArrayFromHeap(output);
    const values = backend.typedArrayFromHeap(x);
    out.set(values);
    for (let done = values.length; done < out.length; done *= 2)
      out.copyWithin(done, 0, Math.min(done, out.length - done));
    return output;
  };
}

function adam(math: WasmMath) {
  return ({ inputs, attrs, backend }: KernelCall): TensorInfo[] => {
    const { x, gradient, m, v } = inputs as Record<'x' | 'gradient' | 'm' | 'v', TensorInfo>;
    const outputs = [x, m, v].map(({ shape }) => backend.makeOutput(shape, 'float32'));
    const addresses = [x, gradient, m, v, ...outputs].map((tensor) => addressOf(backend, tensor));
    const { beta1, beta2, rate, epsilon, shrink } = attrs as AdamAttributes;
    math.adam(tf.util.sizeFromShape(x.shape), ...addresses, beta1, 1 - beta1, beta2, 1 - beta2, rate, epsilon, shrink);
    return outputs;
  };
}

/** Shares the numbers: tensors do not change, so two may use the same. */
function identity({ inputs, backend }: KernelCall): TensorInfo {
  const { dataId, shape, dtype } = inputs.x!;
  backend.incRef(dataId);
  return { dataId, shape, dtype };
}

function unsortedSegmentSum({ inputs, attrs, backend }: KernelCall): TensorInfo {
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const { numSegments } = attrs as { numSegments: number };
  if (x.dtype !== 'float32') return viaCpu('UnsortedSegmentSum')({ inputs, attrs, backend });
  // Ids may have several leading dimensions: the rest of x is one row for each id.
  const rank = segmentIds.shape.length;
  const rowShape = x.shape.slice(rank);
  const width = rowShape.reduce((a, b) => a * b, 1);
  const output = backend.makeOutput([numSegments, ...rowShape], 'float32');
  const values = backend.typedArrayFromHeap(x);
  const ids = backend.readSync(segmentIds.dataId);
  const out = backend.typedArrayFromHeap(output).fill(0);
  for (let i = 0, at = 0; i < ids.length; i++) {
    const id = ids[i]!;
    if (id < 0 || id >= numSegments) {
      at += width;
      continue;
    }
    const row = id * width;
    for (let j = 0; j < width; j++, at++) out[row + j]! += values[at]!;
  }
  return output;
}
