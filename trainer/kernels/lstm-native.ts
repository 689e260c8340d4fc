/**
 * Kernels of an LSTM's step on TensorFlow's library, on a processor: the library computes the products, and our WebAssembly
 * the gates, since each call into the library costs more than the arithmetic of a gate. On a GPU a step would wait for its
 * numbers, so upstream's way stays there.
 */
import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tf.ts';
import { columnSums, LSTM_STEP, LSTM_STEP_GRADIENT, type StepAttributes, useLstmStep } from './lstm.ts';
import { type Kernel, type KernelCall, replaceKernel } from './register.ts';
import { type Gates, makeGates } from './wasm-math.ts';

/** Parts of the library's backend that the kernels use. */
interface NativeBackend {
  readSync(dataId: object): Float32Array;
  write(values: Float32Array, shape: number[], dtype: string): TensorInfo['dataId'];
}

type Call = KernelCall<NativeBackend>;

/** Installs the kernels for a backend that TensorFlow's library was registered as. */
export function installNativeLstm(registered: string): void {
  const run = runner();
  const kernels = { [LSTM_STEP]: forward(run), [LSTM_STEP_GRADIENT]: backward(run) };
  for (const [name, kernel] of Object.entries(kernels))
    replaceKernel<NativeBackend>(registered, {
      name,
      why: 'missing: some twenty calls into the library took longer than their arithmetic',
      make: () => kernel as unknown as Kernel<NativeBackend>,
    });
  useLstmStep();
}

type Run = (work: (gates: Gates, places: number[]) => void, inputs: Float32Array[], sizes: number[]) => Float32Array[];

/** Returns a function that copies inputs into the gates' memory, runs them, and copies results of the wanted sizes out. */
function runner(): Run {
  const { gates, memory } = makeGates();
  return (work, inputs, sizes) => {
    const lengths = [...inputs.map(({ length }) => length), ...sizes];
    let end = 0;
    // Each at a multiple of 16 bytes.
    const places = lengths.map((length) => {
      const place = end;
      end += (length * 4 + 15) & ~15;
      return place;
    });
    const missing = end - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65_536));
    const view = (i: number) => new Float32Array(memory.buffer, places[i]!, lengths[i]!);
    for (const [i, values] of inputs.entries()) view(i).set(values);
    work(gates, places);
    return sizes.map((_, i) => view(inputs.length + i).slice());
  };
}

function forward(run: Run) {
  return ({ inputs, attrs, backend }: Call): TensorInfo[] => {
    const { x, h, c, kernel, recurrent, bias } = inputs as Record<string, Tensor>;
    const [rows, units] = c!.shape as [number, number];
    const parts = [tf.matMul(x!, kernel!), tf.matMul(h!, recurrent!)];
    const [z, more] = parts.map(({ dataId }) => backend.readSync(dataId)) as [Float32Array, Float32Array];
    const offsets = bias ? backend.readSync(bias.dataId) : new Float32Array(4 * units);
    for (let i = 0, row = 0; row < rows; row++)
      for (let column = 0; column < 4 * units; column++, i++) z[i] = Math.fround(z[i]! + more[i]!) + offsets[column]!;
    tf.dispose(parts);
    const { hard } = attrs as StepAttributes;
    const results = run(
      (gates, [at, ...places]) => gates.lstmForward(rows, units, hard ? 1 : 0, at!, ...places),
      [z, backend.readSync(c!.dataId)],
      [c!.size, c!.size, 5 * c!.size],
    );
    const [carry, output, gates] = results as [Float32Array, Float32Array, Float32Array];
    return [
      stored(backend, output, [rows, units]),
      stored(backend, carry, [rows, units]),
      stored(backend, gates, [rows, 5 * units]),
    ];
  };
}

function backward(run: Run) {
  return ({ inputs, attrs, backend }: Call): TensorInfo[] => {
    const { gates, c, dOutput, dCarry } = inputs as Record<string, Tensor>;
    const [rows, units] = c!.shape as [number, number];
    const values = [gates!, c!, dOutput!, dCarry!].map(({ dataId }) => backend.readSync(dataId));
    const { hard } = attrs as StepAttributes;
    const [dz, before] = run((own, places) => own.lstmBackward(rows, units, hard ? 1 : 0, ...places), values, [
      4 * c!.size,
      c!.size,
    ]) as [Float32Array, Float32Array];
    return [
      stored(backend, dz, [rows, 4 * units]),
      stored(backend, before, [rows, units]),
      stored(backend, columnSums(dz, 4 * units), [4 * units]),
    ];
  };
}

function stored(backend: NativeBackend, values: Float32Array, shape: number[]): TensorInfo {
  return { dataId: backend.write(values, shape, 'float32'), shape, dtype: 'float32' };
}
