/**
 * The wasm kernels that upstream (4.22.0) lacks, gets wrong, computes imprecisely or slowly. With these every kernel
 * check agrees with the cpu back end; each replacement has a test that fails without it.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tf.ts';
import { callKernel, type Kernel, type KernelCall, type Replacement, replaceKernel, viaCpu } from './register.ts';

export const replacements: readonly Replacement[] = [
  {
    name: 'MaxPoolGrad',
    why: 'wrong for windows without a positive value: upstream starts its maximum at numeric_limits<float>::min()',
    make: () => maxPoolGrad,
  },
  { name: 'Conv3DBackpropInputV2', why: 'wrong: relative error about 1', make: () => viaCpu('Conv3DBackpropInputV2') },
  { name: 'MaxPool3DGrad', why: 'wrong in the same way as MaxPoolGrad', make: () => viaCpu('MaxPool3DGrad') },
  {
    name: 'Sum',
    why: 'adds up naively in float32: relative error 1e-5 at a million elements',
    make: (upstream) => reduction(upstream, false),
  },
  { name: 'Mean', why: 'adds up naively in float32, like Sum', make: (upstream) => reduction(upstream, true) },
  {
    name: 'BatchMatMul',
    why: 'slow: with a transpose flag it leaves XNNPACK for a naive loop (512³: 218 ms instead of 10 ms)',
    make: (upstream) => (call) => transposeFirst(upstream, call),
  },
  { name: 'Conv2DBackpropFilter', why: 'missing', make: () => conv2dBackpropFilter },
  { name: 'UnsortedSegmentSum', why: 'missing; gradient of gather and embeddings', make: () => unsortedSegmentSum },
];

/** Call once, after the wasm and cpu back ends are registered. */
export function installWasmKernels(): void {
  const known = new Set(tf.getKernelsForBackend('wasm').map(({ kernelName }) => kernelName));
  const ours = new Set(replacements.map(({ name }) => name));
  for (const { kernelName } of tf.getKernelsForBackend('cpu')) {
    if (known.has(kernelName) || ours.has(kernelName)) continue;
    replaceKernel('wasm', { name: kernelName, why: 'missing', make: () => viaCpu(kernelName) });
  }
  for (const replacement of replacements) replaceKernel('wasm', replacement);
}

/** The first maximum of a window gets the gradient, as on cpu. */
function maxPoolGrad({ inputs, attrs, backend }: KernelCall): TensorInfo {
  const { dy, input } = inputs as { dy: TensorInfo; input: TensorInfo };
  const { filterSize, strides, pad, dimRoundingMode } = attrs;
  const info = tf.backend_util.computePool2DInfo(input.shape as never, filterSize, strides, 1, pad, dimRoundingMode);
  const output = backend.makeOutput(input.shape, 'float32');
  // After makeOutput, which may grow the heap and so detach views made before.
  const x = backend.typedArrayFromHeap(input);
  const gradient = backend.typedArrayFromHeap(dy);
  const out = backend.typedArrayFromHeap(output).fill(0);
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, strideHeight, strideWidth } = info;
  const { effectiveFilterHeight, effectiveFilterWidth } = info;
  let at = 0;
  for (let batch = 0; batch < batchSize; batch++) {
    for (let outY = 0; outY < outHeight; outY++) {
      const top = outY * strideHeight - info.padInfo.top;
      const bottom = Math.min(inHeight, top + effectiveFilterHeight);
      for (let outX = 0; outX < outWidth; outX++) {
        const left = outX * strideWidth - info.padInfo.left;
        const right = Math.min(inWidth, left + effectiveFilterWidth);
        for (let channel = 0; channel < inChannels; channel++, at++) {
          let best = Number.NEGATIVE_INFINITY;
          let bestAt = -1;
          for (let y = Math.max(0, top); y < bottom; y++) {
            let i = ((batch * inHeight + y) * inWidth + Math.max(0, left)) * inChannels + channel;
            for (let column = Math.max(0, left); column < right; column++, i += inChannels) {
              const value = x[i]!;
              if (value > best || bestAt < 0) {
                best = value;
                bestAt = i;
              }
            }
          }
          out[bestAt]! += gradient[at]!;
        }
      }
    }
  }
  return output;
}

/** Long float32 sums over leading or trailing axes, in double precision; everything else as upstream does it. */
function reduction(upstream: Kernel, mean: boolean): Kernel {
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
    const output = backend.makeOutput(outShape, 'float32');
    const values = backend.typedArrayFromHeap(x);
    const out = backend.typedArrayFromHeap(output);
    const divisor = mean ? length : 1;
    if (trailing) {
      for (let i = 0, at = 0; i < out.length; i++) {
        let sum = 0;
        for (let end = at + length; at < end; at++) sum += values[at]!;
        out[i] = sum / divisor;
      }
    } else {
      const sums = new Float64Array(out.length);
      for (let row = 0, at = 0; row < length; row++)
        for (let i = 0; i < sums.length; i++, at++) sums[i]! += values[at]!;
      for (let i = 0; i < sums.length; i++) out[i] = sums[i]! / divisor;
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
 * For each tap of the filter: the input under it as a matrix [channels, positions], times dy as [positions, filters].
 * One tap at a time bounds the memory; the matrix is made transposed, since upstream's Transpose and Slice are slow.
 */
function conv2dBackpropFilter({ inputs, attrs, backend }: KernelCall): TensorInfo {
  const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo };
  const { strides, pad, dataFormat, dimRoundingMode, filterShape } = attrs;
  if (dataFormat && dataFormat !== 'NHWC')
    throw new Error(`Conv2DBackpropFilter on wasm needs NHWC, not ${dataFormat}`);
  const info = tf.backend_util.computeConv2DInfo(x.shape as never, filterShape, strides, 1, pad, dimRoundingMode);
  const { inChannels, outChannels, filterHeight, filterWidth } = info;
  const positions = info.batchSize * info.outHeight * info.outWidth;
  const dyMatrix: TensorInfo = { dataId: dy.dataId, shape: [1, positions, outChannels], dtype: dy.dtype };
  const output = backend.makeOutput(filterShape, 'float32');
  const tap = backend.makeOutput([1, inChannels, positions], 'float32');
  for (let tapY = 0; tapY < filterHeight; tapY++) {
    for (let tapX = 0; tapX < filterWidth; tapX++) {
      // Views anew each time: a product may have grown the heap.
      gatherTap(backend.typedArrayFromHeap(x), backend.typedArrayFromHeap(tap), tapY, tapX, info);
      const product = callKernel(
        'BatchMatMul',
        backend,
        { a: tap, b: dyMatrix },
        { transposeA: false, transposeB: false },
      );
      const at = (tapY * filterWidth + tapX) * inChannels * outChannels;
      backend.typedArrayFromHeap(output).set(backend.typedArrayFromHeap(product), at);
      backend.disposeData(product.dataId);
    }
  }
  backend.disposeData(tap.dataId);
  return output;
}

type Conv2D = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/** out[channel][position] = what of x the filter's tap at (tapY, tapX) sees at each output position; 0 outside. */
function gatherTap(x: Float32Array, out: Float32Array, tapY: number, tapX: number, conv: Conv2D): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, strideHeight, strideWidth, padInfo } = conv;
  let at = 0;
  for (let channel = 0; channel < inChannels; channel++) {
    for (let batch = 0; batch < batchSize; batch++) {
      for (let outY = 0; outY < outHeight; outY++) {
        const y = outY * strideHeight + tapY - padInfo.top;
        if (y < 0 || y >= inHeight) {
          out.fill(0, at, at + outWidth);
          at += outWidth;
          continue;
        }
        const row = (batch * inHeight + y) * inWidth;
        for (let outX = 0; outX < outWidth; outX++) {
          const column = outX * strideWidth + tapX - padInfo.left;
          out[at++] = column < 0 || column >= inWidth ? 0 : x[(row + column) * inChannels + channel]!;
        }
      }
    }
  }
}

function unsortedSegmentSum({ inputs, attrs, backend }: KernelCall): TensorInfo {
  const { x, segmentIds } = inputs as { x: TensorInfo; segmentIds: TensorInfo };
  const { numSegments } = attrs as { numSegments: number };
  if (x.dtype !== 'float32') return viaCpu('UnsortedSegmentSum')({ inputs, attrs, backend });
  // Ids may count several leading dimensions: the rest of x is one row of each id.
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
