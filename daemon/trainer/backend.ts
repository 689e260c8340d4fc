/** A TensorFlow.js back end brought up for training, and what the trainer needs to know of it. */
import { cpus } from 'node:os';
import { join } from 'node:path';
import type { Tensor, TensorInfo } from '@tensorflow/tfjs-core';
import { TrainstashError } from '../../protocol/errors.ts';
import type { WasmBackend } from './kernels/register.ts';
import { installWasmKernels } from './kernels/wasm.ts';
import { tf, tfDirectory, wasm } from './tf.ts';

export interface Backend {
  name: 'wasm' | 'cpu';
  /** What bits depend on, for the record and the preflight. */
  environment: Record<string, string>;
  /** The tensor's bytes where they lie, valid until the next operation. Must not be written to. */
  bytes(tensor: Tensor): Uint8Array;
}

export const BACKENDS = ['wasm', 'cpu'] as const;

/** `auto` is wasm here; back ends on the GPU are chosen by probing, and are not part of this build. */
export async function startBackend(wanted: string): Promise<Backend> {
  const name = wanted === 'auto' ? 'wasm' : wanted;
  if (name === 'wasm') return startWasm();
  if (name === 'cpu') return startCpu();
  throw new TrainstashError('paramInvalid', `There is no back end "${wanted}". Known: auto, ${BACKENDS.join(', ')}.`, {
    param: 'backend',
    expected: `auto, ${BACKENDS.join(' or ')}`,
  });
}

async function startWasm(): Promise<Backend> {
  wasm.setWasmPaths(`${join(tfDirectory, 'tf')}/`);
  // Threads do not work under Node upstream; asking for them ends in the slow cpu back end without a word.
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
  const listeners = errorListeners();
  const ready = await tf.setBackend('wasm');
  if (!ready || tf.getBackend() !== 'wasm') throw new Error('the wasm back end did not start');
  await tf.ready();
  installWasmKernels();
  removeNewErrorListeners(listeners);
  const backend = tf.backend() as unknown as WasmBackend;
  return {
    name: 'wasm',
    environment: {
      ...commonEnvironment(),
      backend: 'wasm',
      simd: String(tf.env().getBool('WASM_HAS_SIMD_SUPPORT')),
      threads: '1',
    },
    bytes: (tensor) => {
      const view = backend.typedArrayFromHeap(tensor as unknown as TensorInfo);
      return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    },
  };
}

async function startCpu(): Promise<Backend> {
  await tf.setBackend('cpu');
  await tf.ready();
  return {
    name: 'cpu',
    environment: { ...commonEnvironment(), backend: 'cpu', threads: '1' },
    bytes: (tensor) => {
      // dataSync gives the tensor's own array here, no copy.
      const values = tensor.dataSync() as Float32Array;
      return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    },
  };
}

function commonEnvironment(): Record<string, string> {
  return {
    framework: `tfjs ${tf.version_core}`,
    node: process.version,
    platform: `${process.platform} ${process.arch}`,
    device: cpus()[0]?.model.trim() ?? 'cpu',
  };
}

const ERROR_EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

function errorListeners(): Set<unknown> {
  return new Set(ERROR_EVENTS.flatMap((event) => process.listeners(event as 'uncaughtException')));
}

/** Emscripten's start-up code adds listeners that turn every error into an abort of its own. */
function removeNewErrorListeners(before: Set<unknown>): void {
  for (const event of ERROR_EVENTS) {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before.has(listener)) process.removeListener(event, listener);
    }
  }
}
