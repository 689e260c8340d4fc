/** Starts WebGPU through Dawn, from the npm package `webgpu` of the user's project or of "Set up GPU backend". */
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { TrainstashError } from '../../protocol/errors.ts';
import type { WebgpuBackend } from '../kernels/register.ts';
import { installWebgpuKernels } from '../kernels/webgpu.ts';
import { loadWebgpu, tf } from '../tf.ts';
import { type Backend, type BackendOptions, commonEnvironment, type DeviceMemory, unavailable } from './backend.ts';
import { tensorTooLarge } from './too-large.ts';

/** True if tests may train on a software GPU. It is slower than wasm, so nobody else wants it. */
const SOFTWARE_ALLOWED = process.env.TRAINSTASH_SOFTWARE_GPU === '1';
/** Size of the staging buffer: one slot of the checkpoint writer. */
const STAGING_BYTES = 4 << 20;

/** Parts of WebGPU that are used here; the official types would include those of a browser. */
interface Adapter {
  info: { vendor: string; architecture: string; device: string; description: string; isFallbackAdapter?: boolean };
  features: { has(name: string): boolean };
  limits: Record<string, number>;
  requestDevice(descriptor: object): Promise<Device>;
}
interface Device {
  limits: Record<string, number>;
  lost: Promise<{ reason: string; message: string }>;
  queue: { submit(buffers: unknown[]): void; onSubmittedWorkDone(): Promise<void> };
  addEventListener(type: 'uncapturederror', listener: (event: { error: { message: string } }) => void): void;
  createBuffer(descriptor: { size: number; usage: number }): Buffer;
  pushErrorScope(filter: string): void;
  popErrorScope(): Promise<{ message: string } | null>;
}
interface Buffer {
  mapAsync(mode: number, offset: number, size: number): Promise<void>;
  getMappedRange(offset: number, size: number): ArrayBuffer;
  unmap(): void;
}
interface Gpu {
  requestAdapter(options: object): Promise<Adapter | null>;
}
declare const GPUBufferUsage: { COPY_DST: number; MAP_READ: number };
declare const GPUMapMode: { READ: number };

const LIMITS = [
  'maxComputeWorkgroupStorageSize',
  'maxComputeWorkgroupsPerDimension',
  'maxStorageBufferBindingSize',
  'maxBufferSize',
  'maxComputeWorkgroupSizeX',
  'maxComputeInvocationsPerWorkgroup',
  'maxStorageBuffersPerShaderStage',
];

/** Keeps Dawn from being garbage collected, which would end it. */
let alive: unknown;

export async function startWebgpu({ from }: BackendOptions): Promise<Backend> {
  const adapter = await findAdapter(from);
  const { info } = adapter;
  const device = await adapter.requestDevice({
    requiredFeatures: adapter.features.has('timestamp-query') ? ['timestamp-query'] : [],
    requiredLimits: Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]])),
  });
  const { WebGPUBackend } = loadWebgpu();
  const backend = new WebGPUBackend(device, info) as unknown as WebgpuBackend;
  tf.removeBackend('webgpu');
  tf.registerBackend('webgpu', () => backend as never, 3);
  // A small tensor that happens to be in this process's memory would be computed here, with other last bits than on the
  // device.
  tf.env().set('WEBGPU_CPU_FORWARD', false);
  if (!(await tf.setBackend('webgpu'))) throw unavailable('webgpu', 'TensorFlow.js did not accept the device');
  installWebgpuKernels(backend);
  const maxTensorBytes = Math.min(device.limits.maxStorageBufferBindingSize!, device.limits.maxBufferSize!);
  refuseLargeTensors(backend, maxTensorBytes);
  refuseSynchronousReads(backend);
  return {
    name: 'webgpu',
    environment: {
      ...commonEnvironment(`${info.vendor} ${info.architecture} ${info.device}`.trim()),
      backend: 'webgpu',
      driver: info.description,
    },
    memory: deviceMemory(device, backend, maxTensorBytes),
  };
}

async function findAdapter(from: string | null): Promise<Adapter> {
  if (from === null) throw unavailable('webgpu', 'the npm package "webgpu" is not installed');
  let gpu: Gpu;
  try {
    const entry = createRequire(import.meta.url).resolve(from);
    const { create, globals } = await import(pathToFileURL(entry).href);
    Object.assign(globalThis, globals);
    gpu = create([]);
  } catch (error) {
    const [first] = (error as Error).message.split('\n');
    throw unavailable('webgpu', `its package at ${from} cannot be loaded (${first})`);
  }
  alive = gpu;
  // TensorFlow.js checks that one exists.
  Object.defineProperty(navigator, 'gpu', { value: alive, configurable: true });
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter)
    throw unavailable('webgpu', 'no GPU was found; on Linux it needs a Vulkan driver (vulkaninfo lists them)');
  if (isSoftware(adapter) && !SOFTWARE_ALLOWED)
    throw unavailable('webgpu', `the only device is software, ${adapter.info.description || adapter.info.device}`);
  return adapter;
}

function isSoftware({ info }: Adapter): boolean {
  return (
    info.isFallbackAdapter === true ||
    /swiftshader|llvmpipe|lavapipe|basic render/i.test(`${info.device} ${info.description}`)
  );
}

/**
 * Refuses larger tensors: they fail on the device, where the operation that made them would return the previous content
 * of that memory.
 */
function refuseLargeTensors(backend: WebgpuBackend, maxBytes: number): void {
  const { uploadToGPU } = backend;
  backend.uploadToGPU = function upload(dataId) {
    const { shape, dtype } = this.tensorMap.get(dataId);
    const bytes = tf.util.sizeFromShape(shape) * (dtype === 'complex64' ? 8 : 4);
    if (bytes > maxBytes) throw tensorTooLarge(`A tensor of the shape [${shape.join(', ')}]`, bytes, maxBytes);
    uploadToGPU.call(this, dataId);
  };
}

/** Refuses synchronous reads: upstream would ask for a canvas, which only browsers have. */
function refuseSynchronousReads(backend: WebgpuBackend): void {
  backend.readSync = function read(dataId) {
    const { values } = this.tensorMap.get(dataId);
    if (values) return values;
    throw new Error(
      'dataSync() and arraySync() cannot read from a GPU: use `await tensor.data()`, or train with --backend wasm',
    );
  };
}

function deviceMemory(device: Device, backend: WebgpuBackend, maxTensorBytes: number): DeviceMemory {
  let failure: TrainstashError<'deviceFailed'> | null = null;
  let reject: (error: Error) => void;
  const failed = new Promise<never>((_, rejectIt) => {
    reject = rejectIt;
  });
  // A later await still gets the rejection.
  failed.catch(() => {});
  const fail = (reason: string) => {
    failure ??= new TrainstashError(
      'deviceFailed',
      `The GPU reported an error: ${reason}. Everything computed since then was discarded; the newest checkpoint is older than the error and can be resumed.`,
      { backend: 'webgpu', reason },
    );
    reject(failure);
  };
  device.addEventListener('uncapturederror', ({ error }) => fail(error.message.split('\n')[0]!));
  void device.lost.then(({ reason, message }) => fail(`it was lost (${reason}${message ? `: ${message}` : ''})`));
  const staging = device.createBuffer({
    size: STAGING_BYTES,
    usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ,
  });
  let reading: Promise<unknown> = Promise.resolve();
  const settle = async () => {
    await Promise.race([device.queue.onSubmittedWorkDone(), failed]);
    // Queued behind all errors that the device has not reported yet.
    device.pushErrorScope('validation');
    await Promise.race([device.popErrorScope(), failed]);
    if (failure) throw failure;
  };
  const readOne = async (tensor: Tensor, offset: number, target: Uint8Array) => {
    const { dataId } = tensor as unknown as TensorInfo;
    if (tensor.dtype === 'bool') {
      // Four bytes each on the device, and one here.
      target.set(((await tensor.data()) as Uint8Array).subarray(offset, offset + target.length));
      return;
    }
    const { values, resource } = backend.tensorMap.get(dataId);
    if (values) {
      target.set(new Uint8Array(values.buffer, values.byteOffset + offset, target.length));
      return;
    }
    if (!resource) throw new Error('a tensor that is nowhere was read');
    for (let at = 0; at < target.length; at += STAGING_BYTES) {
      const bytes = Math.min(STAGING_BYTES, target.length - at);
      backend.ensureCommandEncoderReady();
      backend.endComputePassEncoder();
      backend.commandEncoder!.copyBufferToBuffer(resource, offset + at, staging, 0, bytes);
      backend.submitQueue();
      await Promise.race([staging.mapAsync(GPUMapMode.READ, 0, bytes), failed]);
      target.set(new Uint8Array(staging.getMappedRange(0, bytes)), at);
      staging.unmap();
    }
  };
  return {
    kind: 'device',
    failure: () => failure,
    failed,
    settle,
    maxTensorBytes,
    read(tensor, offset, target) {
      const work = reading.then(() => readOne(tensor, offset, target));
      reading = work.catch(() => {});
      return work;
    },
  };
}
