/** Single copy of TensorFlow.js in this process: kernels, gradients and tensors of two copies do not mix. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type * as Core from '@tensorflow/tfjs-core';
import type { KernelBackend } from '@tensorflow/tfjs-core';
import type * as Layers from '@tensorflow/tfjs-layers';

interface Bundle {
  core: typeof Core;
  layers: typeof Layers;
  wasm: {
    setWasmPaths(path: string): void;
    setThreadsCount(count: number): void;
    /** Returns a text from upstream's package, which does not export it. */
    threadWorkerSource(): string;
  };
}

// Next to this file in the built trainer, in dist/ when run from source.
const candidates = ['./tf.cjs', '../dist/tf.cjs'].map((path) => fileURLToPath(new URL(path, import.meta.url)));
const path = candidates.find((place) => existsSync(place)) ?? candidates[0]!;
const require = createRequire(import.meta.url);
const bundle = require(path) as Bundle;

export const tf = bundle.core;
export const layers = bundle.layers;
export const wasm = bundle.wasm;
/** Folder with `tf.cjs`; its `tf/` has the .wasm files and the modules that replace users' imports. */
export const tfDirectory = dirname(path);

/** Loads WebGPU from a separate bundle: only trainings on it need it. */
export function loadWebgpu(): { WebGPUBackend: new (device: unknown, info: unknown) => KernelBackend } {
  return require(join(tfDirectory, 'tf-webgpu.cjs'));
}
