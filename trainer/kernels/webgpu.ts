/**
 * Replacements for WebGPU kernels that upstream (4.22.0) computes wrongly, or in an order that the device chooses each
 * time: sums by float atomics differ from run to run in their last bits, and no resume would be exact.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tf.ts';
import { type Kernel, type KernelCall, type Replacement, replaceKernel, type WebgpuBackend } from './register.ts';

/** Upstream's program for products that uses tiles; the one that splits the inner dimension adds by atomics. */
const MATMUL_PACKED = 3;
const WORKGROUP = 64;

export const webgpuReplacements: readonly Replacement<WebgpuBackend>[] = [
  {
    name: 'UnsortedSegmentSum',
    why: 'adds by float atomics: ten runs gave ten results; gradient of gather and embeddings',
    make: () => unsortedSegmentSum,
  },
  {
    name: 'Cumsum',
    why: 'wrong: a reversed one uses the program that was made for the first length, and powers of two come from pow(), which may round',
    make: () => cumulative('+', '0.0'),
  },
  { name: 'Cumprod', why: 'wrong in the same way as Cumsum', make: () => cumulative('*', '1.0') },
  { name: 'AddN', why: 'fails with more tensors than a program may bind: eight on many GPUs', make: () => addOneByOne },
  ...(['Sin', 'Cos'] as const).map((name) => ({
    name,
    why: 'as imprecise as WGSL allows: 2e-4 with SwiftShader',
    make: () => trigonometric(name),
  })),
  ...['Dilation2DBackpropFilter', 'Dilation2DBackpropInput'].map((name) => ({
    name,
    why: 'adds by float atomics',
    make: () => () => {
      throw new Error(`${name} is not deterministic on webgpu; train with --backend wasm`);
    },
  })),
];

/** Integers that this process made, mostly batches: upstream forgets them when they go to the device. */
const hostIntegers = new WeakMap<object, Int32Array>();

/** Installs the kernels; call it once, after the backend was made. */
export function installWebgpuKernels(backend: WebgpuBackend): void {
  tf.env().set('WEBGPU_MATMUL_PROGRAM_TYPE', MATMUL_PACKED);
  for (const replacement of webgpuReplacements) replaceKernel('webgpu', replacement);
  const { write } = backend;
  backend.write = function remember(values, shape, dtype) {
    const dataId = write.call(this, values, shape, dtype);
    if (dtype === 'int32' && values instanceof Int32Array) hostIntegers.set(dataId, values);
    return dataId;
  };
}

/** Makes a program for upstream's backend: one invocation for each element of the output. */
function program(key: string, variableNames: string[], outputShape: number[], uniforms: string, body: string) {
  const size = tf.util.sizeFromShape(outputShape);
  return {
    variableNames,
    outputShape,
    workgroupSize: [WORKGROUP, 1, 1],
    dispatchLayout: { x: outputShape.map((_, i) => i) },
    dispatch: [Math.ceil(size / WORKGROUP), 1, 1],
    shaderKey: `trainstash_${key}`,
    uniforms,
    size: true,
    getUserCode: () => `fn main(index : i32) { if (index < uniforms.size) { ${body} } }`,
  };
}

/** Adds rows of x in the order of the data: one invocation for each output element. */
function unsortedSegmentSum({ inputs, attrs, backend }: KernelCall<WebgpuBackend>): TensorInfo {
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const { numSegments } = attrs as { numSegments: number };
  // Ids may have several leading dimensions: the rest of x is one row for each id.
  const rowShape = x.shape.slice(segmentIds.shape.length);
  const rows = tf.util.sizeFromShape(segmentIds.shape);
  const width = tf.util.sizeFromShape(rowShape);
  const matrix: TensorInfo = { dataId: x.dataId, shape: [rows, width], dtype: x.dtype };
  const zero = x.dtype === 'int32' ? '0' : '0.0';
  const ids = hostIntegers.get(segmentIds.dataId);
  const own: TensorInfo[] = [];
  let output: TensorInfo;
  if (ids) {
    const { order, starts } = sortedBySegment(ids, numSegments);
    own.push(backend.makeTensorInfo([order.length], 'int32', order));
    own.push(backend.makeTensorInfo([starts.length], 'int32', starts));
    const sum = program(
      `segments_${x.dtype}`,
      ['x', 'order', 'starts'],
      [numSegments, width],
      '',
      `let width = uniforms.outShape[1];
       let segment = index / width;
       let column = index - segment * width;
       var sum = ${zero};
       for (var k = i32(getStarts(segment)); k < i32(getStarts(segment + 1)); k = k + 1) { sum = sum + getX(i32(getOrder(k)), column); }
       setOutputAtIndex(index, sum);`,
    );
    output = backend.runWebGPUProgram(sum, [matrix, ...own], x.dtype);
  } else {
    // Computed ids: each element looks at all of them; neighbours read them together.
    const flat: TensorInfo = { dataId: segmentIds.dataId, shape: [rows], dtype: 'int32' };
    const sum = program(
      `segmentsScan_${x.dtype}`,
      ['x', 'ids'],
      [numSegments, width],
      'rows : i32,',
      `let width = uniforms.outShape[1];
       let segment = index / width;
       let column = index - segment * width;
       var sum = ${zero};
       for (var k = 0; k < uniforms.rows; k = k + 1) { if (i32(getIds(k)) == segment) { sum = sum + getX(k, column); } }
       setOutputAtIndex(index, sum);`,
    );
    output = backend.runWebGPUProgram(sum, [matrix, flat], x.dtype, [{ type: 'int32', data: [rows] }]);
  }
  for (const { dataId } of own) backend.disposeData(dataId);
  return { ...output, shape: [numSegments, ...rowShape] };
}

/** Sorts rows by segment, in order of appearance; `starts` has one entry more than there are segments. */
function sortedBySegment(ids: Int32Array, segments: number): { order: Int32Array; starts: Int32Array } {
  const isInside = (id: number) => id >= 0 && id < segments;
  const starts = new Int32Array(segments + 1);
  for (const id of ids) if (isInside(id)) starts[id + 1]!++;
  for (let i = 0; i < segments; i++) starts[i + 1]! += starts[i]!;
  // Never empty: a tensor without elements has no memory to bind.
  const order = new Int32Array(Math.max(1, starts[segments]!));
  const next = starts.slice();
  for (const [row, id] of ids.entries()) if (isInside(id)) order[next[id]!++] = row;
  return { order, starts };
}

function addOneByOne({ inputs, backend }: KernelCall<WebgpuBackend>): TensorInfo {
  const add = tf.getKernel('Add', 'webgpu')!.kernelFunc as unknown as Kernel<WebgpuBackend>;
  const [first, second, ...others] = inputs as unknown as TensorInfo[];
  if (!second)
    return (tf.getKernel('Identity', 'webgpu')!.kernelFunc as never as Kernel<WebgpuBackend>)({
      inputs: { x: first! },
      attrs: {},
      backend,
    });
  let sum = add({ inputs: { a: first!, b: second }, attrs: {}, backend });
  for (const other of others) {
    const next = add({ inputs: { a: sum, b: other }, attrs: {}, backend });
    backend.disposeData(sum.dataId);
    sum = next;
  }
  return sum;
}

/**
 * Makes a scan by Hillis and Steele: each pass adds the value twice as far away, in a fixed order. The distance is an
 * integer uniform and the program does not contain the shape, so one program serves all.
 */
function cumulative(operator: '+' | '*', identity: string): Kernel<WebgpuBackend> {
  return ({ inputs, attrs, backend }) => {
    const x = inputs.x!;
    const { axis, exclusive, reverse } = attrs as { axis: number; exclusive: boolean; reverse: boolean };
    const at = tf.util.parseAxisParam(axis, x.shape)[0]!;
    const length = x.shape[at]!;
    const inner = tf.util.sizeFromShape(x.shape.slice(at + 1));
    const size = tf.util.sizeFromShape(x.shape);
    const pass = (from: TensorInfo, distance: number, moves: boolean): TensorInfo => {
      const scan = program(
        `cumulative_${operator}_${x.dtype}`,
        ['x'],
        [size],
        'len : i32, inner : i32, distance : i32, moves : i32,',
        `let place = (index / uniforms.inner) % uniforms.len;
         let other = place - uniforms.distance;
         let isInside = other >= 0 && other < uniforms.len;
         var value = getX(index);
         if (uniforms.moves == 1) { value = ${x.dtype === 'int32' ? `i32(${identity})` : identity}; }
         if (isInside) {
           let before = getX(index - uniforms.distance * uniforms.inner);
           if (uniforms.moves == 1) { value = before; } else { value = before ${operator} value; }
         }
         setOutputAtIndex(index, value);`,
      );
      const numbers = [length, inner, reverse ? -distance : distance, moves ? 1 : 0];
      const uniforms = numbers.map((number) => ({ type: 'int32' as const, data: [number] }));
      return backend.runWebGPUProgram(scan, [from], x.dtype, uniforms);
    };
    const steps: [distance: number, moves: boolean][] = [];
    for (let distance = 1; distance === 1 || distance < length; distance *= 2) steps.push([distance, false]);
    if (exclusive) steps.push([1, true]);
    let result: TensorInfo = { dataId: x.dataId, shape: [size], dtype: x.dtype };
    for (const [distance, moves] of steps) {
      const next = pass(result, distance, moves);
      if (result.dataId !== x.dataId) backend.disposeData(result.dataId);
      result = next;
    }
    return { ...result, shape: x.shape };
  };
}

/**
 * Computes sine or cosine of the remainder after quarter turns, with the polynomials of Cephes' sinf and cosf: errors
 * below 1e-7 up to 8192.
 */
function trigonometric(name: 'Sin' | 'Cos'): Kernel<WebgpuBackend> {
  const wave = (flat: TensorInfo) =>
    program(
      name,
      ['x'],
      flat.shape,
      '',
      `let x = getX(index);
       let quarters = round(x * 0.63661977236758134);
       let r = ((x - quarters * 1.5703125) - quarters * 4.837512969970703e-4) - quarters * 7.549789948768648e-8;
       let z = r * r;
       let sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
       let cosine = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
       let quadrant = (i32(quarters) + ${name === 'Cos' ? 1 : 0}) & 3;
       let value = select(sine, cosine, (quadrant & 1) == 1);
       setOutputAtIndex(index, select(value, -value, quadrant > 1));`,
    );
  return ({ inputs, backend }) => {
    const x = inputs.x!;
    const flat: TensorInfo = { dataId: x.dataId, shape: [tf.util.sizeFromShape(x.shape)], dtype: x.dtype };
    return { ...backend.runWebGPUProgram(wave(flat), [flat], 'float32'), shape: x.shape };
  };
}
