/**
 * Computes gradients of convolutions and max pools on wasm: lays them out as matrices, multiplies, and scatters the
 * result.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tf.ts';
import type { Kernel } from './register.ts';
import { addressOf, matrix, type WasmMath } from './wasm-math.ts';

type Conv2D = ReturnType<typeof tf.backend_util.computeConv2DInfo>;

/** Limit of one layout: a wasm heap ends at 4 GiB. */
const MAX_COLUMN_FLOATS = 4 << 20;

interface Block {
  batch: number;
  /** First row of the output, and the row after the last. */
  from: number;
  to: number;
}

/** Splits an image into blocks of rows, such that the input of the filter for one block stays below the limit. */
function blocksOf({ batchSize, outHeight, outWidth, filterHeight, filterWidth, inChannels }: Conv2D) {
  const rowFloats = outWidth * filterHeight * filterWidth * inChannels;
  const rows = Math.max(1, Math.min(outHeight, Math.floor(MAX_COLUMN_FLOATS / rowFloats)));
  const blocks: Block[] = [];
  for (let batch = 0; batch < batchSize; batch++)
    for (let from = 0; from < outHeight; from += rows)
      blocks.push({ batch, from, to: Math.min(outHeight, from + rows) });
  return { blocks, floats: rows * rowFloats };
}

/** Computes the gradient of the filter: its input at each output position, times dy. */
export function conv2dBackpropFilter(math: WasmMath): Kernel {
  return ({ inputs, attrs, backend }) => {
    const { x, dy } = inputs as { x: TensorInfo; dy: TensorInfo };
    const { strides, pad, dataFormat, dimRoundingMode, filterShape } = attrs;
    if (dataFormat && dataFormat !== 'NHWC')
      throw new Error(`Conv2DBackpropFilter on wasm needs NHWC, not ${dataFormat}`);
    const conv = tf.backend_util.computeConv2DInfo(x.shape as never, filterShape, strides, 1, pad, dimRoundingMode);
    const { inChannels, outChannels, filterHeight, filterWidth } = conv;
    const inputSize = filterHeight * filterWidth * inChannels;
    const { blocks, floats } = blocksOf(conv);
    const output = backend.makeOutput(filterShape, 'float32');
    const columns = backend.makeOutput([floats], 'float32');
    // After both are made: making one may grow the memory and detach views.
    const image = backend.typedArrayFromHeap(x);
    const target = backend.typedArrayFromHeap(columns);
    const [from, gradient, to] = [columns, dy, output].map((tensor) => addressOf(backend, tensor)) as number[];
    // Without a sample there is nothing to add.
    backend.typedArrayFromHeap(output).fill(0);
    for (const block of blocks) {
      gather(image, target, block, conv);
      const positions = (block.to - block.from) * conv.outWidth;
      const left = matrix(from!, inputSize, true);
      const right = matrix(gradient! + firstPosition(block, conv) * outChannels * 4, outChannels, false);
      math.product(inputSize, outChannels, positions, left, right, { at: to!, row: outChannels * 4 }, true);
    }
    backend.disposeData(columns.dataId);
    return output;
  };
}

function firstPosition({ batch, from }: Block, { outHeight, outWidth }: Conv2D): number {
  return (batch * outHeight + from) * outWidth;
}

/** Gathers out[position][tap, channel] = the filter's input there; 0 outside the image. */
function gather(x: Float32Array, out: Float32Array, block: Block, conv: Conv2D): void {
  const { inHeight, inWidth, inChannels, outWidth, strideHeight, strideWidth, padInfo } = conv;
  const { filterHeight, filterWidth } = conv;
  const first = block.batch * inHeight * inWidth * inChannels;
  let at = 0;
  for (let outY = block.from; outY < block.to; outY++) {
    for (let outX = 0; outX < outWidth; outX++) {
      const left = outX * strideWidth - padInfo.left;
      for (let tapY = 0; tapY < filterHeight; tapY++) {
        const y = outY * strideHeight + tapY - padInfo.top;
        const isRow = y >= 0 && y < inHeight;
        for (let tapX = 0; tapX < filterWidth; tapX++) {
          const column = left + tapX;
          if (!isRow || column < 0 || column >= inWidth) {
            for (let channel = 0; channel < inChannels; channel++) out[at++] = 0;
          } else {
            let from = first + (y * inWidth + column) * inChannels;
            for (let channel = 0; channel < inChannels; channel++) out[at++] = x[from++]!;
          }
        }
      }
    }
  }
}

/** Computes the gradient of the input: dy times the filter is each tap's share for its input, which is added there. */
export function conv2dBackpropInput(upstream: Kernel, math: WasmMath): Kernel {
  return (call) => {
    const { inputs, attrs, backend } = call;
    const { dy, filter } = inputs as { dy: TensorInfo; filter: TensorInfo };
    const { strides, pad, dataFormat, dimRoundingMode, inputShape } = attrs;
    if (dataFormat && dataFormat !== 'NHWC') return upstream(call);
    const shape = filter.shape as [number, number, number, number];
    const conv = tf.backend_util.computeConv2DInfo(inputShape, shape, strides, 1, pad, dimRoundingMode);
    const { inChannels, outChannels, filterHeight, filterWidth, inHeight, inWidth } = conv;
    const seen = filterHeight * filterWidth * inChannels;
    const { blocks, floats } = blocksOf(conv);
    const output = backend.makeOutput(inputShape, 'float32');
    const shares = backend.makeOutput([floats], 'float32');
    backend.typedArrayFromHeap(output).fill(0);
    const [from, gradient, weights, to] = [shares, dy, filter, output].map((tensor) => addressOf(backend, tensor)) as [
      number,
      number,
      number,
      number,
    ];
    for (const block of blocks) {
      const positions = (block.to - block.from) * conv.outWidth;
      const left = matrix(gradient + firstPosition(block, conv) * outChannels * 4, outChannels, false);
      math.product(
        positions,
        seen,
        outChannels,
        left,
        matrix(weights, outChannels, true),
        { at: from, row: seen * 4 },
        false,
      );
      scatter(math, from, to + block.batch * inHeight * inWidth * inChannels * 4, block, conv);
    }
    backend.disposeData(shares.dataId);
    return output;
  };
}

/** Adds the shares back; the opposite of `gather`. Each row of adjacent taps is added at once. */
function scatter(math: WasmMath, from: number, to: number, block: Block, conv: Conv2D): void {
  const { inHeight, inWidth, inChannels, outWidth, strideHeight, strideWidth, padInfo } = conv;
  const { filterHeight, filterWidth } = conv;
  const rowFloats = filterWidth * inChannels;
  for (let outY = block.from; outY < block.to; outY++) {
    for (let outX = 0; outX < outWidth; outX++) {
      const left = outX * strideWidth - padInfo.left;
      const skipped = Math.max(0, -left);
      const count = Math.min(filterWidth, inWidth - left) - skipped;
      for (let tapY = 0; tapY < filterHeight; tapY++, from += rowFloats * 4) {
        const y = outY * strideHeight + tapY - padInfo.top;
        if (y < 0 || y >= inHeight || count <= 0) continue;
        const target = to + (y * inWidth + left + skipped) * inChannels * 4;
        math.addTo(from + skipped * inChannels * 4, target, count * inChannels);
      }
    }
  }
}

/** Computes the gradient of a max pool. The first maximum of a window gets it, as on cpu. */
export function maxPoolGrad(math: WasmMath): Kernel {
  return ({ inputs, attrs, backend }) => {
    const { dy, input } = inputs as { dy: TensorInfo; input: TensorInfo };
    const { filterSize, strides, pad, dimRoundingMode } = attrs;
    const info = tf.backend_util.computePool2DInfo(input.shape as never, filterSize, strides, 1, pad, dimRoundingMode);
    const output = backend.makeOutput(input.shape, 'float32');
    backend.typedArrayFromHeap(output).fill(0);
    const [x, dx] = [input, output].map((tensor) => addressOf(backend, tensor)) as [number, number];
    let from = addressOf(backend, dy);
    const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, strideHeight, strideWidth } = info;
    const rowStep = inWidth * inChannels * 4;
    for (let batch = 0; batch < batchSize; batch++) {
      for (let outY = 0; outY < outHeight; outY++) {
        const top = outY * strideHeight - info.padInfo.top;
        const first = Math.max(0, top);
        const rows = Math.min(inHeight, top + info.effectiveFilterHeight) - first;
        for (let outX = 0; outX < outWidth; outX++, from += inChannels * 4) {
          const left = outX * strideWidth - info.padInfo.left;
          const begin = Math.max(0, left);
          const columns = Math.min(inWidth, left + info.effectiveFilterWidth) - begin;
          // Only padding: no element gets it.
          if (rows <= 0 || columns <= 0) continue;
          const at = ((batch * inHeight + first) * inWidth + begin) * inChannels * 4;
          math.poolGradient(x + at, dx + at, from, rows, columns, rowStep, inChannels);
        }
      }
    }
    return output;
  };
}
