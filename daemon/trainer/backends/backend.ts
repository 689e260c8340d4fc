/** What the trainer needs to know of a TensorFlow.js back end. */
import { cpus } from 'node:os';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { BackendName } from '../../../protocol/domain.ts';
import { TrainstashError } from '../../../protocol/errors.ts';
import { tf } from '../tf.ts';

export interface BackendOptions {
  /** Folder of the npm package that the back end comes from; null for those of our own. */
  from: string | null;
  /** Of wasm; 1 without. */
  threads: number;
}

export interface Backend {
  name: BackendName;
  /** What bits depend on, for the record and the preflight. */
  environment: Record<string, string>;
  /** Where its tensors are: in this process, or on a device that gives them away only with time. */
  memory: HostMemory | DeviceMemory;
}

export interface HostMemory {
  kind: 'host';
  /** The tensor's bytes where they lie, valid until the next operation. Must not be written to. */
  bytes(tensor: Tensor): Uint8Array;
}

/** Its operations fail later than they are called, and by themselves tell nobody: their results are then wrong. */
export interface DeviceMemory {
  kind: 'device';
  /** What the device said of an earlier operation. Nothing that was computed since can be trusted. */
  failure(): TrainstashError<'deviceFailed'> | null;
  /** Resolves when all that was asked for is done and its errors are known; rejects with them. */
  settle(): Promise<void>;
  /** Rejects as soon as the device fails; never resolves. */
  failed: Promise<never>;
  /** Copies the tensor's bytes from `offset` on until `target` is full, while the training goes on. */
  read(tensor: Tensor, offset: number, target: Uint8Array): Promise<void>;
  /** The largest tensor in bytes. */
  maxTensorBytes: number;
}

/** Counts up when a kernel or an optimizer of ours gives other bits than before: a resume is then not exact, and says so. */
const KERNELS = 2;

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

/** It cannot be used here; `reason` is what a person can act on. */
export function unavailable(backend: BackendName, reason: string): TrainstashError<'backendUnavailable'> {
  return new TrainstashError(
    'backendUnavailable',
    `${backend} cannot be used here: ${reason}. Nothing was started; \`trainstash doctor\` shows what can be, \`--backend auto\` takes it.`,
    { backend, reason },
  );
}
