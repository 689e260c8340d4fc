/** Interface of the trainer to a TensorFlow.js backend. */
import { cpus } from 'node:os';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { BackendName } from '../../protocol/domain.ts';
import { TrainstashError } from '../../protocol/errors.ts';
import { tf } from '../tf.ts';

export interface BackendOptions {
  /** Folder of the npm package that contains the backend; null for built-in ones. */
  from: string | null;
  /** Number of wasm threads; 1 without threads. */
  threads: number;
}

export interface Backend {
  name: BackendName;
  /** Facts that the bits depend on, for the record and the preflight. */
  environment: Record<string, string>;
  /** Place of the tensors: in this process, or on a device that needs time to return them. */
  memory: HostMemory | DeviceMemory;
}

export interface HostMemory {
  kind: 'host';
  /** Returns the tensor's bytes in place, valid until the next operation. They must not be written to. */
  bytes(tensor: Tensor): Uint8Array;
}

/**
 * Memory of a device. Its operations fail later than they are called, and report nothing by themselves: their results
 * are then wrong.
 */
export interface DeviceMemory {
  kind: 'device';
  /** Returns the device's error about an earlier operation. Nothing that was computed since can be trusted. */
  failure(): TrainstashError<'deviceFailed'> | null;
  /** Resolves when all requested operations are done and their errors are known; rejects with them. */
  settle(): Promise<void>;
  /** Rejects as soon as the device fails; never resolves. */
  failed: Promise<never>;
  /** Copies the tensor's bytes from `offset` on until `target` is full, while the training continues. */
  read(tensor: Tensor, offset: number, target: Uint8Array): Promise<void>;
  /** Size of the largest possible tensor in bytes. */
  maxTensorBytes: number;
}

/**
 * Version of the built-in kernels and optimizers. Increase it when one gives other bits than before: a resume is then
 * not exact, and says so.
 */
const KERNELS = 3;

export function commonEnvironment(device: string): Record<string, string> {
  return {
    framework: `tfjs ${tf.version_core}, kernels ${KERNELS}`,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    device,
  };
}

export function processorName(): string {
  return cpus()[0]?.model.trim() ?? 'cpu';
}

/** Makes the error for a backend that cannot be used here; `reason` is something that the user can act on. */
export function unavailable(backend: BackendName, reason: string): TrainstashError<'backendUnavailable'> {
  return new TrainstashError(
    'backendUnavailable',
    `${backend} cannot be used here: ${reason}. Nothing was started; \`trainstash doctor\` lists the backends that can, and \`--backend auto\` uses one of them.`,
    { backend, reason },
  );
}
