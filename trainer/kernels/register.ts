import type { KernelConfig, KernelFunc, NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { tf } from '../tf.ts';

/** Parts of the wasm backend that the built-in kernels use. */
export interface WasmBackend {
  makeOutput(shape: number[], dtype: string): TensorInfo;
  typedArrayFromHeap(tensor: TensorInfo): Float32Array;
  readSync(dataId: object): Float32Array | Int32Array | Uint8Array;
  write(values: unknown, shape: number[], dtype: string): object;
  disposeData(dataId: object): boolean;
  incRef(dataId: object): void;
  /** Emscripten's module: with its own memory, or one that threads share. */
  wasm: { asm?: { memory?: { buffer: ArrayBufferLike } }; wasmMemory?: { buffer: ArrayBufferLike } };
  dataIdMap: { get(dataId: object): { memoryOffset: number | null } };
}

/** Parts of the WebGPU backend that the built-in kernels use. Buffers and encoders belong to Dawn. */
export interface WebgpuBackend {
  tensorMap: {
    get(dataId: object): {
      shape: number[];
      dtype: string;
      /** Null once it is on the device. */
      values: Float32Array | Int32Array | Uint8Array | null;
      resource?: object | null;
    };
  };
  commandEncoder: {
    copyBufferToBuffer(from: object, at: number, to: object, toAt: number, bytes: number): void;
  } | null;
  ensureCommandEncoderReady(): void;
  endComputePassEncoder(): void;
  submitQueue(): void;
  uploadToGPU(dataId: object): void;
  readSync(dataId: object): Float32Array | Int32Array | Uint8Array;
  write(values: unknown, shape: number[], dtype: string): object;
  makeTensorInfo(shape: number[], dtype: string, values?: unknown): TensorInfo;
  disposeData(dataId: object): boolean;
  runWebGPUProgram(
    program: object,
    inputs: TensorInfo[],
    dtype: string,
    uniforms?: { type: 'int32'; data: number[] }[],
  ): TensorInfo;
}

export interface CpuBackend {
  makeTensorInfo(shape: number[], dtype: string, values: unknown): TensorInfo;
  readSync(dataId: object): unknown;
  disposeIntermediateTensorInfo(tensor: TensorInfo): void;
}

// biome-ignore lint/suspicious/noExplicitAny: attributes are typed by each kernel that reads them.
export type Attributes = any;

export interface KernelCall<B = WasmBackend> {
  inputs: Record<string, TensorInfo>;
  attrs: Attributes;
  backend: B;
}

export type Kernel<B = WasmBackend> = (call: KernelCall<B>) => TensorInfo;

/** Built-in kernel that replaces upstream's, if there is one. */
export interface Replacement<B = WasmBackend> {
  name: string;
  /** Reason with the observation: missing upstream, wrong, imprecise, slow or not deterministic. */
  why: string;
  make(upstream: Kernel<B>): Kernel<B>;
}

export function replaceKernel<B>(backendName: string, { name, make }: Replacement<B>): void {
  const upstream = tf.getKernel(name, backendName) as KernelConfig | undefined;
  if (upstream) tf.unregisterKernel(name, backendName);
  const missing = () => {
    throw new Error(`kernel ${name} does not exist for ${backendName}`);
  };
  const kernel = make((upstream?.kernelFunc as unknown as Kernel<B>) ?? missing);
  tf.registerKernel({ kernelName: name, backendName, kernelFunc: kernel as unknown as KernelFunc });
}

/** Calls the kernel that is registered for wasm under that name now. */
export function callKernel(
  name: string,
  backend: WasmBackend,
  inputs: Record<string, TensorInfo>,
  attrs: NamedAttrMap,
): TensorInfo {
  const kernel = tf.getKernel(name, 'wasm')!.kernelFunc as unknown as Kernel;
  return kernel({ inputs, attrs, backend });
}

/** Makes a wasm kernel from one of the cpu backend, run on copies of the tensors. */
export function viaCpu(name: string): Kernel {
  const kernel = tf.getKernel(name, 'cpu')!.kernelFunc as unknown as (call: {
    inputs: Record<string, unknown>;
    attrs: Attributes;
    backend: CpuBackend;
  }) => TensorInfo | TensorInfo[];
  return ({ inputs, attrs, backend }) => {
    const cpu = tf.findBackend('cpu') as unknown as CpuBackend;
    const copies: TensorInfo[] = [];
    const toCpu = (tensor: TensorInfo) => {
      const copy = cpu.makeTensorInfo(tensor.shape, tensor.dtype, backend.readSync(tensor.dataId));
      copies.push(copy);
      return copy;
    };
    const cpuInputs: Record<string, unknown> = {};
    for (const [key, value] of Object.entries(inputs)) {
      if (value != null) cpuInputs[key] = Array.isArray(value) ? value.map(toCpu) : toCpu(value);
    }
    const output = kernel({ inputs: cpuInputs, attrs, backend: cpu });
    const toWasm = (tensor: TensorInfo): TensorInfo => {
      const dataId = backend.write(cpu.readSync(tensor.dataId), tensor.shape, tensor.dtype);
      cpu.disposeIntermediateTensorInfo(tensor);
      return { dataId: dataId as TensorInfo['dataId'], shape: tensor.shape, dtype: tensor.dtype };
    };
    const result = Array.isArray(output) ? output.map(toWasm) : toWasm(output);
    for (const copy of copies) cpu.disposeIntermediateTensorInfo(copy);
    return result as TensorInfo;
  };
}
