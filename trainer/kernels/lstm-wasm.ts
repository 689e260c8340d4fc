/** Kernels of an LSTM's step on wasm, in the memory of its backend. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { columnSums, type StepAttributes } from './lstm.ts';
import type { KernelCall } from './register.ts';
import { addressOf, matrix, type WasmMath } from './wasm-math.ts';

export function lstmForward(math: WasmMath) {
  return ({ inputs, attrs, backend }: KernelCall): TensorInfo[] => {
    const { x, h, c, kernel, recurrent, bias } = inputs as Record<string, TensorInfo>;
    const [rows, width] = x!.shape as [number, number];
    const units = h!.shape[1]!;
    const z = backend.makeOutput([rows, 4 * units], 'float32');
    const outputs = [units, units, 5 * units].map((columns) => backend.makeOutput([rows, columns], 'float32'));
    const [output, carry, gates] = outputs.map((tensor) => addressOf(backend, tensor)) as [number, number, number];
    const at = addressOf(backend, z);
    if (bias) {
      // After makeOutput, which may grow the memory and so detach earlier views.
      const to = backend.typedArrayFromHeap(z);
      to.set(backend.typedArrayFromHeap(bias));
      for (let done = 4 * units; done < to.length; done *= 2) to.copyWithin(done, 0, Math.min(done, to.length - done));
    }
    const to = { at, row: 16 * units };
    const product = (left: TensorInfo, columns: number, right: TensorInfo, add: boolean) =>
      math.product(
        rows,
        4 * units,
        columns,
        matrix(addressOf(backend, left), columns, false),
        matrix(addressOf(backend, right), 4 * units, false),
        to,
        add,
      );
    product(x!, width, kernel!, bias !== undefined);
    product(h!, units, recurrent!, true);
    const { hard } = attrs as StepAttributes;
    math.lstmForward(rows, units, hard ? 1 : 0, at, addressOf(backend, c!), carry, output, gates);
    backend.disposeData(z.dataId);
    return outputs;
  };
}

export function lstmBackward(math: WasmMath) {
  return ({ inputs, attrs, backend }: KernelCall): TensorInfo[] => {
    const { gates, c, dOutput, dCarry } = inputs as Record<string, TensorInfo>;
    const [rows, units] = c!.shape as [number, number];
    const outputs = [
      [rows, 4 * units],
      [rows, units],
    ].map((shape) => backend.makeOutput(shape, 'float32'));
    const sums = backend.makeOutput([4 * units], 'float32');
    const places = [gates!, c!, dOutput!, dCarry!, ...outputs].map((tensor) => addressOf(backend, tensor));
    math.lstmBackward(rows, units, (attrs as StepAttributes).hard ? 1 : 0, ...places);
    backend.typedArrayFromHeap(sums).set(columnSums(backend.typedArrayFromHeap(outputs[0]!), 4 * units));
    return [...outputs, sums];
  };
}
