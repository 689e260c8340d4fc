import os from 'node:os';
import { join } from 'node:path';
import threads, { type WorkerOptions } from 'node:worker_threads';
import type { TensorInfo } from '@tensorflow/tfjs-core';
import type { WasmBackend } from '../kernels/register.ts';
import { installWasmKernels } from '../kernels/wasm.ts';
import { tf, tfDirectory, wasm } from '../tf.ts';
import { type Backend, commonEnvironment, processorName, unavailable } from './backend.ts';

const FILES = join(tfDirectory, 'tf');
/** Upstream's own limit. */
const MAX_THREADS = 4;

export async function startWasm(wanted: number): Promise<Backend> {
  const count = Math.max(1, Math.min(MAX_THREADS, wanted));
  wasm.setWasmPaths(`${FILES}/`);
  const listeners = errorListeners();
  if (count > 1) await withThreads(count, start);
  else {
    // Upstream's threads do not start by themselves under Node; requesting them silently ends in the slow cpu backend.
    tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', false);
    await start();
  }
  installWasmKernels();
  removeNewErrorListeners(listeners);
  const backend = tf.backend() as unknown as WasmBackend;
  return {
    name: 'wasm',
    environment: {
      ...commonEnvironment(processorName()),
      backend: 'wasm',
      simd: String(tf.env().getBool('WASM_HAS_SIMD_SUPPORT')),
      threads: String(count),
    },
    memory: {
      kind: 'host',
      bytes: (tensor) => {
        const view = backend.typedArrayFromHeap(tensor as unknown as TensorInfo);
        return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
      },
    },
  };
}

async function start(): Promise<void> {
  const ready = await tf.setBackend('wasm');
  if (!ready || tf.getBackend() !== 'wasm') throw unavailable('wasm', 'its module did not start');
  await tf.ready();
}

/**
 * Enables upstream's threads. It switches them off under Node, since their start needs two things of browsers: workers
 * made from a `blob:` address, and the number of processors from the page. Both are emulated while they start.
 */
async function withThreads(count: number, work: () => Promise<void>): Promise<void> {
  const { Worker } = threads;
  const { cpus } = os;
  const script = join(FILES, 'tfjs-backend-wasm-threaded-simd.js');
  // Upstream's file escapes newlines once too little: a string would end in the middle.
  const source = wasm.threadWorkerSource().replaceAll('\n', '\\n');
  class WasmWorker extends Worker {
    constructor(_address: string | URL, options?: WorkerOptions) {
      super(source, { ...options, eval: true });
      this.unref();
    }

    override postMessage(message: unknown, transfer?: Parameters<InstanceType<typeof Worker>['postMessage']>[1]): void {
      const isLoad = (message as { cmd?: string } | null)?.cmd === 'load';
      super.postMessage(isLoad ? { ...(message as object), urlOrBlob: script } : message, transfer);
    }
  }
  tf.env().set('WASM_HAS_MULTITHREAD_SUPPORT', true);
  threads.Worker = WasmWorker;
  // Upstream uses half of them as threads; its own setting is read too late.
  os.cpus = () => Array.from({ length: count * 2 }, () => cpus()[0]!);
  try {
    await work();
  } finally {
    threads.Worker = Worker;
    os.cpus = cpus;
  }
}

const ERROR_EVENTS = ['uncaughtException', 'unhandledRejection'] as const;

function errorListeners(): Set<unknown> {
  return new Set(ERROR_EVENTS.flatMap((event) => process.listeners(event as 'uncaughtException')));
}

/** Removes listeners that Emscripten's start-up code has added: they turn every error into an abort. */
function removeNewErrorListeners(before: Set<unknown>): void {
  for (const event of ERROR_EVENTS) {
    for (const listener of process.listeners(event as 'uncaughtException')) {
      if (!before.has(listener)) process.removeListener(event, listener);
    }
  }
}
